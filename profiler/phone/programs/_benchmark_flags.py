"""The flags of `benchmark_model`, in the order in which its log shows them.

Source: tflite/tools/benchmark/benchmark_model.cc, benchmark_tflite_model.cc and tflite/tools/delegates, LiteRT 2.1.
"""

from __future__ import annotations

from profiler.phone.programs._flags import Flag

_OF_THE_LOOP = (
    Flag("verbose", False, "", "log the values of flags that are not given, too"),
    Flag("num_runs", 50, "Min num runs", "least number of runs"),
    Flag("min_secs", 1.0, "Min runs duration (seconds)", "least duration of all runs together"),
    Flag("max_secs", 150.0, "Max runs duration (seconds)", "no run begins after so many seconds"),
    Flag("run_delay", -1.0, "Inter-run delay (seconds)", "pause between runs"),
    Flag("run_frequency", -1.0, "Number of prorated runs per second", "runs a second, in place of a pause"),
    Flag("num_threads", -1, "Num threads", "number of threads"),
    Flag("use_caching", False, "Use caching", "cache prepacked weights"),
    Flag("benchmark_name", "", "Benchmark name", "name of the benchmark"),
    Flag("output_prefix", "", "Output prefix", "prefix of the output"),
    Flag("warmup_runs", 1, "Min warmup runs", "least number of warm-up runs"),
    Flag("warmup_min_secs", 0.5, "Min warmup runs duration (seconds)", "least duration of the warm-up"),
    Flag("dry_run", False, "Run w/o invoking kernels", "load the model and do not run it"),
    Flag("report_peak_memory_footprint", False, "Report the peak memory footprint", "watch memory while it runs"),
    Flag("memory_footprint_check_interval_ms", 50, "Memory footprint check interval (ms)", "how often to look"),
    Flag("gpu_invoke_loop_times", 1, "", "iterations of the GPU's loop, in builds that have it"),
)

_OF_THE_MODEL = (
    Flag("graph", "", "Graph", "model file", always_logged=True),
    Flag("signature_to_run_for", "", "Signature to run", "signature to run", always_logged=True),
    Flag("list_signatures", False, "List signatures from the provided model", "show the model's signatures and end"),
    Flag("input_layer", "", "Input layers", "names of inputs"),
    Flag("input_layer_shape", "", "Input shapes", "shapes of inputs"),
    Flag("input_layer_value_range", "", "Input value ranges", "ranges of inputs' values"),
    Flag("input_layer_value_files", "", "Input value files", "files with inputs' values"),
    Flag("allow_fp16", False, "Allow fp16", "allow 16-bit floats"),
    Flag("require_full_delegation", False, "Require full delegation", "fail unless the delegate runs all nodes"),
    Flag("enable_op_profiling", False, "Enable op profiling", "profile operators"),
    Flag("op_profiling_output_mode", "stdout", "Op profiling output mode.", "stdout, csv or proto"),
    Flag("op_profiling_output_file", "", "Op profiling output file.", "file for the operators' profile"),
    Flag("max_profiling_buffer_entries", 1024, "Max initial profiling buffer entries", "events the profiler holds"),
    Flag(
        "allow_dynamic_profiling_buffer_increase",
        False,
        "Allow dynamic increase on profiling buffer entries",
        "let the profiler hold more events than that",
    ),
    Flag("profiling_output_csv_file", "", "CSV File to export profiling data to", "deprecated: profile as CSV"),
    Flag("export_model_runtime_info", False, "Enable Model Runtime Info Export", "write what became of the model"),
    Flag("model_runtime_info_output_file", "", "Proto File to export model runtime info to", "where to write it"),
    Flag("print_preinvoke_state", False, "Print pre-invoke interpreter state", "print tensors before the first run"),
    Flag("print_postinvoke_state", False, "Print post-invoke interpreter state", "print tensors after the last run"),
    Flag("release_dynamic_tensors", False, "Release dynamic tensor memory", "free tensors of open sizes early"),
    Flag("optimize_memory_for_large_tensors", 0, "Optimize memory usage for large tensors", "save memory, not time"),
    Flag("disable_delegate_clustering", False, "Disable delegate clustering", "do not cluster delegated nodes"),
    Flag("enable_builtin_cast_constant_cache", False, "Constant CAST output cache", "cache casts of constants"),
    Flag("output_filepath", "", "File path to export outputs layer to", "file for the outputs"),
    Flag("output_proto_filepath", "", "File path to export outputs layer as tf example to", "the same as a proto"),
    Flag(
        "result_file_path", "", "File path to save the benchmark result in binary proto format", "file for the result"
    ),
    Flag("tensor_name_display_length", 25, "Tensor name display length", "width of names in printed states"),
    Flag("tensor_type_display_length", 15, "Tensor type display length", "width of types in printed states"),
    Flag("alloc_type_display_length", 18, "Tensor allocation type display length", "width of allocations there"),
)

_OF_DELEGATES = (
    Flag("help", False, "print out all supported flags", "print all flags"),
    Flag("max_delegated_partitions", 0, "Max number of delegated partitions", "most partitions of a delegate"),
    Flag("min_nodes_per_partition", 0, "Min nodes per partition", "least nodes of a partition"),
    Flag("first_delegate_node_index", 0, "Index of the first node that could be delegated", "in debug builds"),
    Flag("last_delegate_node_index", 2147483647, "Index of the last node that could be delegated", "in debug builds"),
    Flag("delegate_serialize_dir", "", "Directory for delegate serialization", "where delegates keep what they make"),
    Flag("delegate_serialize_token", "", "Model-specific token/key for delegate serialization.", "name for that"),
    Flag("external_delegate_path", "", "External delegate path", "library of an external delegate"),
    Flag("external_delegate_options", "", "External delegate options", "options of an external delegate"),
    Flag("use_gpu", False, "Use gpu", "run on the GPU"),
    Flag("gpu_precision_loss_allowed", True, "Allow lower precision in gpu", "compute in less than 32 bits there"),
    Flag("gpu_experimental_enable_quant", True, "Enable running quant models in gpu", "run quantised models there"),
    Flag("gpu_inference_for_sustained_speed", False, "Prefer maximizing the throughput in gpu", "many runs in a row"),
    Flag("gpu_backend", "", "GPU backend", "cl or gl"),
    Flag("use_hexagon", False, "Use Hexagon", "run on the Hexagon DSP"),
    Flag("hexagon_lib_path", "/data/local/tmp", "Hexagon lib path", "where its libraries are"),
    Flag("hexagon_profiling", False, "Hexagon Profiling", "profile it"),
    Flag("use_nnapi", False, "Use NNAPI", "run through NNAPI"),
    Flag("nnapi_execution_preference", "", "NNAPI execution preference", "fast_single_answer, sustained_speed, …"),
    Flag("nnapi_execution_priority", "", "Model execution priority in nnapi", "default, low, medium or high"),
    Flag("nnapi_accelerator_name", "", "NNAPI accelerator name", "which accelerator"),
    Flag("disable_nnapi_cpu", True, "Disable NNAPI cpu", "do not use NNAPI's own CPU kernels"),
    Flag("nnapi_allow_fp16", False, "Allow fp16 in NNAPI", "allow 16-bit floats in it"),
    Flag("nnapi_allow_dynamic_dimensions", False, "Allow dynamic dimensions in NNAPI", "allow open sizes in it"),
    Flag("nnapi_use_burst_mode", False, "Use burst mode in NNAPI", "many runs in a row"),
    Flag("nnapi_support_library_path", "", "", "library that stands for the phone's NNAPI"),
    Flag("use_xnnpack", False, "Use xnnpack", "apply XNNPACK explicitly; false: not at all"),
    Flag("xnnpack_force_fp16", False, "xnnpack_force_fp16", "compute in 16-bit floats"),
    Flag("xnnpack_weight_cache_file_path", "", "xnnpack_weight_cache_file_path", "file that keeps packed weights"),
    Flag("xnnpack_runtime_flags", 0, "Extra flags for XNNPACK runtime", "flags of its runtime"),
)

FLAGS: tuple[Flag, ...] = (*_OF_THE_LOOP, *_OF_THE_MODEL, *_OF_DELEGATES)
"""All flags of the tool."""

THREADS_AGAIN = "#threads used for CPU inference"
"""The label under which the delegates' part of the log shows --num_threads a second time."""

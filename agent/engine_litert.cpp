// LiteRT, from its shared library.  Calls, layouts and numbers follow the headers in litert/c of its sources.
#include <dlfcn.h>
#include "agent.h"

const char *const kEngineName = "litert", *const kEngineVersion = POCKETNAS_ENGINE_VERSION;
constexpr int kCpu = 1, kWrite = 1, kFloat32 = 1;                   // an accelerator, a lock mode, an element type
constexpr int kNoMemory = 2, kUnsupported = 5, kCompilation = 504;  // statuses
constexpr int kOperator = 2, kDelegatedOperator = 8, kNoOperator = 0x1f5;  // types of events
using Handle = void*;
using Owned = std::shared_ptr<void>;  // a handle that is destroyed with its owner

struct TensorType { int element_type; uint32_t layout[17]; };  // LiteRtRankedTensorType
struct Event {  // ProfiledEventData
    const char* tag;
    int type;
    uint64_t start_us, elapsed_us, memory[6], metadata[2];
    int source;
};

class Library {
public:
    explicit Library(const char* path) : library_(dlopen(path, RTLD_NOW | RTLD_LOCAL)) {
        if (library_ == nullptr) throw Failure("NO_LIBRARY", dlerror());
    }
    template <typename Function>
    Function* symbol(const std::string& name) const {
        void* found = dlsym(library_, name.c_str());
        if (found == nullptr) throw Failure("NO_LIBRARY", "this LiteRT has no function " + name);
        return reinterpret_cast<Function*>(found);
    }
    static void check(int status, const std::string& name) {
        const bool unsupported = status == kUnsupported || status == kCompilation;
        const char* reason = status == kNoMemory ? "OUT_OF_MEMORY" : unsupported ? "UNSUPPORTED" : "INVALID_MODEL";
        if (status != 0) throw Failure(reason, name + " ended with status " + std::to_string(status));
    }
    template <typename... Types>  // those of the C function
    void call(const std::string& name, Types... arguments) const { check(symbol<int(Types...)>(name)(arguments...), name); }
    template <typename Value = Handle, typename... Types>
    Value get(const std::string& name, Types... arguments) const {  // what a function leaves through its last argument
        Value value{};
        call(name, arguments..., &value);
        return value;
    }
    Owned own(Handle handle, const std::string& kind) const { return {handle, symbol<void(Handle)>("LiteRtDestroy" + kind)}; }
private:
    void* library_;  // never closed: it keeps threads
};

class LitertModel : public LoadedModel {
public:
    LitertModel(const Library& library, Handle environment, const Job& job, Model model, bool profiled)
        : library_(library), environment_(environment), file_(std::move(model.file)), run_(library.symbol<RunFunction>(kRun)) {
        const void* bytes = file_.data();
        model_ = library.own(library.get("LiteRtCreateModelFromBuffer", environment, bytes, file_.size()), "Model");
        compiled_ = library.own(compile(job, profiled), "CompiledModel");
        const Handle signature = library.get("LiteRtGetModelSignature", model_.get(), size_t{0});
        inputs_ = make_buffers(signature, "Input");
        outputs_ = make_buffers(signature, "Output");
        if (profiled) profiler_ = library.get("LiteRtCompiledModelGetProfiler", compiled_.get());
    }
    void run() override {
        const int status = run_(compiled_.get(), 0, inputs_.size(), inputs_.data(), outputs_.size(), outputs_.data());
        if (status != 0) Library::check(status, kRun);
    }
    uint64_t profiled_run(std::vector<OperatorTime>& operators) override {
        library_.call("LiteRtResetProfiler", profiler_);
        library_.call("LiteRtStartProfiler", profiler_);
        const uint64_t begin = raw_ns();
        run();
        const uint64_t ns = raw_ns() - begin;
        library_.call("LiteRtStopProfiler", profiler_);
        std::vector<Event> events(static_cast<size_t>(library_.get<int>("LiteRtGetNumProfilerEvents", profiler_)));
        library_.call("LiteRtGetProfilerEvents", profiler_, static_cast<int>(events.size()), events.data());
        for (const Event& event : events) {
            const bool timed = event.type == kOperator || event.type == kDelegatedOperator;
            // A layout that moved shows in types that do not exist and in durations beyond the run's.
            if (timed ? event.elapsed_us > ns / 1000 + 1 : (event.type & ~kNoOperator) != 0) {
                throw Failure("UNSUPPORTED", "the events of this LiteRT's profiler are not understood");
            }
            const std::string tag = event.tag == nullptr ? "" : event.tag;
            if (timed) operators.push_back({std::to_string(operators.size()) + ":" + tag, tag, event.elapsed_us * 1000});
        }
        return ns;
    }
private:
    using RunFunction = int(Handle, size_t, size_t, Handle*, size_t, Handle*);
    static constexpr char kRun[] = "LiteRtRunCompiledModel";
    Handle compile(const Job& job, bool profiled) {
        const Owned options = library_.own(library_.get("LiteRtCreateOptions"), "Options");
        const auto add = [this, &options](const char* identifier, const std::string& toml) {
            void* text = strdup(toml.c_str());  // LiteRT frees it
            library_.call("LiteRtAddOpaqueOptions", options.get(), library_.get("LiteRtCreateOpaqueOptions", identifier, text, &std::free));
        };
        library_.call("LiteRtSetOptionsHardwareAccelerators", options.get(), kCpu);
        const char* kernels = job.delegate == "builtin" ? "kernel_mode = \"builtin\"\n" : "";
        add("xnnpack", "num_threads = " + std::to_string(job.threads) + "\n" + kernels);
        if (profiled) add("runtime_options_string", "enable_profiling = true\n");
        return library_.get("LiteRtCreateCompiledModel", environment_, model_.get(), options.get());
    }
    std::vector<Handle> make_buffers(Handle signature, const std::string& side) {
        std::vector<Handle> handles(library_.get<size_t>("LiteRtGetNumSignature" + side + "s", signature));
        for (size_t index = 0; index < handles.size(); ++index) {
            const Handle tensor = library_.get("LiteRtGetSignature" + side + "TensorByIndex", signature, index);
            const auto type = library_.get<TensorType>("LiteRtGetRankedTensorType", tensor);
            const Handle needs = library_.get("LiteRtGetCompiledModel" + side + "BufferRequirements", compiled_.get(), size_t{0}, index);
            handles[index] = library_.get("LiteRtCreateManagedTensorBufferFromRequirements", environment_, &type, needs);
            buffers_.push_back(library_.own(handles[index], "TensorBuffer"));
            if (side == "Input") fill(handles[index], type.element_type);
        }
        return handles;
    }
    void fill(Handle buffer, int element_type) {
        const auto size = library_.get<size_t>("LiteRtGetTensorBufferSize", buffer);
        void* memory = nullptr;
        library_.call("LiteRtLockTensorBuffer", buffer, &memory, kWrite);
        if (element_type == kFloat32) fill_normal(static_cast<float*>(memory), size / sizeof(float));
        else for (size_t index = 0; index < size; ++index) static_cast<uint8_t*>(memory)[index] = static_cast<uint8_t>(index * 37);
        library_.call("LiteRtUnlockTensorBuffer", buffer);
    }
    const Library& library_;
    Handle environment_, profiler_ = nullptr;
    Bytes file_;
    RunFunction* run_;
    Owned model_, compiled_;
    std::vector<Owned> buffers_;
    std::vector<Handle> inputs_, outputs_;
};

Loader make_loader(const Job& job, const char* path) {
    const auto library = std::make_shared<const Library>(path);
    const Owned environment = library->own(library->get("LiteRtCreateEnvironment", 0, static_cast<void*>(nullptr)), "Environment");
    return [&job, library, environment](Model model, bool profiled) {
        return std::make_unique<LitertModel>(*library, environment.get(), job, std::move(model), profiled);
    };
}

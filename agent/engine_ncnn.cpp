// ncnn, linked in.  A model is a .param text and the weights that its layers read one after the other.
#include <datareader.h>
#include <net.h>
#include <map>
#include <sstream>
#include "agent.h"

const char *const kEngineName = "ncnn", *const kEngineVersion = POCKETNAS_ENGINE_VERSION;
constexpr double kMostValues = 1e12;
constexpr int kOutOfMemory = -100;  // what ncnn returns when an allocation failed

struct Weights : ncnn::DataReaderFromMemory {
    using DataReaderFromMemory::DataReaderFromMemory;
    size_t reference(size_t, const void**) const override { return 0; }  // layers are to copy: the file does not stay
};

[[noreturn]] static void fail(bool memory, const std::string& detail) { throw Failure(memory ? "OUT_OF_MEMORY" : "INVALID_MODEL", detail); }

static ncnn::Mat make_input(const std::string& name, std::map<int, int> shape) {
    const int w = shape[0], h = shape[1], c = shape[2], d = shape[11];  // ncnn's numbers of an input's parameters
    if (w <= 0 || h < 0 || d < 0 || c < 0) fail(false, "the input " + name + " has no shape");
    const double values = double(w) * std::max(h, 1) * std::max(d, 1) * std::max(c, 1);  // too many would overflow ncnn's own count
    ncnn::Mat input;
    if (values < kMostValues) input = d > 0 ? ncnn::Mat(w, h, d, c) : c > 0 ? ncnn::Mat(w, h, c) : h > 0 ? ncnn::Mat(w, h) : ncnn::Mat(w);
    if (input.empty()) fail(true, "the input " + name + " is larger than the memory");
    fill_normal(input, input.total());
    return input;
}

class NcnnModel : public LoadedModel {
public:
    NcnnModel(const Job& job, const Model& model) {
        net_.opt.num_threads = static_cast<int>(job.threads);
        net_.opt.use_fp16_packed = net_.opt.use_fp16_storage = net_.opt.use_fp16_arithmetic = job.precision == "fp16";
        net_.opt.use_bf16_storage = net_.opt.use_bf16_packed = false;
        // Pools of our own: ncnn's would copy every output out of them.
        net_.opt.blob_allocator = &blobs_;
        net_.opt.workspace_allocator = &workspace_;
        std::map<std::string, ncnn::Mat> inputs = read_text(model.text);
        errno = 0;
        if (net_.load_param_mem(model.text.c_str()) != 0) fail(errno == ENOMEM, "ncnn cannot read the .param");
        const uint8_t* at = model.file.data();
        if (net_.load_model(Weights(at, model.file.size())) != 0) fail(errno == ENOMEM, "ncnn cannot load the weights");
        if (at != model.file.data() + model.file.size()) fail(false, "there are more weights than the layers take");
        for (const int index : net_.input_indexes()) inputs_.emplace_back(index, inputs[blob(index)]);
        if (inputs_.empty() || net_.output_indexes().empty()) fail(false, "the network has no input or no output");
    }

    void run() override {
        ncnn::Extractor extractor = start();
        for (const int output : net_.output_indexes()) extract(extractor, output, 0);
    }

    // Blob after blob, so that each layer is timed alone.  Light mode stays on: every blob is let go of before the next
    // layer takes it, and layers that work in place do so as they do in an ordinary run.
    uint64_t profiled_run(std::vector<OperatorTime>& operators) override {
        const uint64_t begin = raw_ns();
        ncnn::Extractor extractor = start();
        for (const ncnn::Layer* layer : net_.layers()) {
            if (layer->type == "Input" || layer->tops.empty()) continue;
            const uint64_t layer_begin = raw_ns();
            extract(extractor, layer->tops[0], 1);
            operators.push_back({layer->name, layer->type, raw_ns() - layer_begin});
        }
        return raw_ns() - begin;
    }
private:
    // Return data for each input by its blob's name; see that every layer exists, whose lack ncnn only prints.
    static std::map<std::string, ncnn::Mat> read_text(const std::string& text) {
        std::map<std::string, ncnn::Mat> inputs;
        std::istringstream lines(text);
        for (std::string line, type, name, count, word; std::getline(lines, line);) {
            std::istringstream words(line);
            if (!(words >> type >> name >> count >> count)) continue;  // not a layer
            const std::unique_ptr<ncnn::Layer> layer(ncnn::create_layer_cpu(type.c_str()));
            if (!layer) throw Failure("UNSUPPORTED", "this build of ncnn has no layer " + type + " (" + name + ")");
            if (type != "Input" || !(words >> name)) continue;
            std::map<int, int> shape;
            while (words >> word) shape[atoi(word.c_str())] = atoi(word.substr(word.find('=') + 1).c_str());
            inputs[name] = make_input(name, shape);
        }
        return inputs;
    }
    const std::string& blob(int index) const { return net_.blobs()[static_cast<size_t>(index)].name; }
    ncnn::Extractor start() {
        ncnn::Extractor extractor = net_.create_extractor();
        for (const auto& [index, values] : inputs_) extractor.input(index, values);
        return extractor;
    }
    void extract(ncnn::Extractor& extractor, int index, int kind) {
        ncnn::Mat values;
        const int status = extractor.extract(index, values, kind);
        if (status == 0 && !values.empty()) return;
        fail(status == kOutOfMemory, "ncnn cannot compute " + blob(index) + ": " + std::to_string(status));
    }

    ncnn::PoolAllocator blobs_, workspace_;  // outlive the network, whose blobs they hold
    ncnn::Net net_;
    std::vector<std::pair<int, ncnn::Mat>> inputs_;
};

Loader make_loader(const Job& job, const char*) {
    return [&job](const Model& model, bool) { return std::make_unique<NcnnModel>(job, model); };
}

// ncnn, linked in.  A model is a .param text and the weights that its layers read one after the other.
#include <ncnn/allocator.h>
#include <ncnn/datareader.h>
#include <ncnn/net.h>

#include <cerrno>
#include <sstream>

#include "engine.h"
#include "machine.h"

#ifndef POCKETNAS_ENGINE_VERSION
#define POCKETNAS_ENGINE_VERSION NCNN_VERSION_STRING
#endif

const char* const kEngineName = "ncnn";
const char* const kEngineVersion = POCKETNAS_ENGINE_VERSION;

namespace {

constexpr int kOutOfMemory = -100;  // what ncnn's layers return when an allocation failed

class Weights : public ncnn::DataReader {
public:
    explicit Weights(const Model& model) : segments_(model) {}
    size_t read(void* to, size_t size) const override {
        const size_t got = segments_.read(to, size);
        if (got < size) ended_early = true;
        return got;
    }
    uint64_t left() const { return segments_.left(); }
    mutable bool ended_early = false;

private:
    mutable SegmentReader segments_;  // ncnn reads through a const interface
};

struct ParamLayer {
    std::string type, name, first_blob;
    std::map<int, int> values;
};

// Read the layers' lines as far as they can be understood; what is wrong with them is for ncnn to say.
std::vector<ParamLayer> param_layers(const std::string& text) {
    std::vector<ParamLayer> layers;
    std::istringstream lines(text);
    std::string line;
    std::getline(lines, line);
    std::getline(lines, line);
    while (std::getline(lines, line)) {
        std::istringstream words(line);
        ParamLayer layer;
        size_t inputs = 0, outputs = 0;
        if (!(words >> layer.type >> layer.name >> inputs >> outputs)) continue;
        std::string word;
        for (size_t blob = 0; blob < inputs + outputs && words >> word; ++blob) {
            if (blob == inputs) layer.first_blob = word;
        }
        while (words >> word) {
            const size_t equals = word.find('=');
            if (equals != std::string::npos) layer.values[atoi(word.c_str())] = atoi(word.c_str() + equals + 1);
        }
        layers.push_back(std::move(layer));
    }
    return layers;
}

ncnn::Mat make_input(const ParamLayer& layer) {
    const auto size = [&layer](int key) {
        const auto found = layer.values.find(key);
        return found == layer.values.end() ? 0 : found->second;
    };
    const int width = size(0), height = size(1), channels = size(2), depth = size(11);
    if (width <= 0 || height < 0 || channels < 0 || depth < 0) {
        throw Failure("INVALID_MODEL", "the input " + layer.name + " has no shape");
    }
    ncnn::Mat input;
    if (depth > 0) input.create(width, height, depth, channels);
    else if (channels > 0) input.create(width, height, channels);
    else if (height > 0) input.create(width, height);
    else input.create(width);
    if (input.empty()) throw Failure("OUT_OF_MEMORY", "the input " + layer.name + " is larger than the memory");
    fill_normal(input, input.total());
    return input;
}

class NcnnModel : public LoadedModel {
public:
    NcnnModel(const Job& job, const Model& model) {
        const std::string text(model.text);
        const std::vector<ParamLayer> layers = param_layers(text);
        set_options(job);
        load(model, text, layers);
        for (const ParamLayer& layer : layers) {
            if (layer.type == "Input") inputs_.emplace_back(blob_index(layer.first_blob), make_input(layer));
        }
        if (inputs_.empty() || net_.output_indexes().empty()) throw Failure("INVALID_MODEL", "the network has no input or no output");
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
    void set_options(const Job& job) {
        const bool half = job.precision == "fp16";
        net_.opt.num_threads = static_cast<int>(job.threads);
        net_.opt.use_fp16_packed = net_.opt.use_fp16_storage = net_.opt.use_fp16_arithmetic = half;
        net_.opt.use_bf16_storage = net_.opt.use_bf16_packed = false;
        // Pools of our own: ncnn's would copy every output out of them.
        net_.opt.blob_allocator = &blobs_;
        net_.opt.workspace_allocator = &workspace_;
    }

    void load(const Model& model, const std::string& text, const std::vector<ParamLayer>& layers) {
        errno = 0;
        if (net_.load_param_mem(text.c_str()) != 0) {
            for (const ParamLayer& layer : layers) {
                const std::unique_ptr<ncnn::Layer> known(ncnn::create_layer_cpu(layer.type.c_str()));
                if (!known) throw Failure("UNSUPPORTED", "this build of ncnn has no layer " + layer.type + " (" + layer.name + ")");
            }
            fail(errno == ENOMEM, "ncnn cannot read the .param");
        }
        const Weights weights(model);
        const bool loaded = net_.load_model(weights) == 0;
        if (weights.ended_early) throw Failure("INVALID_MODEL", "the weights end before the last layer has its own");
        if (!loaded) fail(errno == ENOMEM, "ncnn cannot load the weights");
        if (weights.left() > 0) throw Failure("INVALID_MODEL", "there are more weights than the layers take");
    }

    [[noreturn]] static void fail(bool no_memory, const std::string& detail) {
        throw Failure(no_memory ? "OUT_OF_MEMORY" : "INVALID_MODEL", detail);
    }

    int blob_index(const std::string& name) const {
        for (size_t index = 0; index < net_.blobs().size(); ++index) {
            if (net_.blobs()[index].name == name) return static_cast<int>(index);
        }
        throw Failure("INVALID_MODEL", "the input's blob " + name + " is missing");
    }

    ncnn::Extractor start() {
        ncnn::Extractor extractor = net_.create_extractor();
        for (const auto& [blob, values] : inputs_) extractor.input(blob, values);
        return extractor;
    }

    void extract(ncnn::Extractor& extractor, int blob, int kind) {
        ncnn::Mat values;
        const int status = extractor.extract(blob, values, kind);
        if (status != 0 || values.empty()) {
            fail(status == kOutOfMemory || (status == 0 && errno == ENOMEM),
                 "ncnn cannot compute the blob " + net_.blobs()[static_cast<size_t>(blob)].name + ": " + std::to_string(status));
        }
    }

    ncnn::PoolAllocator blobs_, workspace_;  // outlive the network, whose blobs they hold
    ncnn::Net net_;
    std::vector<std::pair<int, ncnn::Mat>> inputs_;
};

class NcnnEngine : public Engine {
public:
    explicit NcnnEngine(const Job& job) : job_(job) {}
    std::unique_ptr<LoadedModel> load(Model model, bool) override { return std::make_unique<NcnnModel>(job_, model); }

private:
    const Job& job_;
};

}  // namespace

std::unique_ptr<Engine> make_engine(const Job& job, const char*) { return std::make_unique<NcnnEngine>(job); }

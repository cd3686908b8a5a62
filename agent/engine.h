// What every engine offers.  A program has one, linked in when it is built.
#pragma once

#include "job.h"

struct OperatorTime {
    std::string name, kind;
    uint64_t ns;
};

// A model that is ready to run.  Its functions throw Failure when it cannot be run.
class LoadedModel {
public:
    virtual ~LoadedModel() = default;
    virtual void run() = 0;
    // Run once; fill `operators` in execution order and return the duration of the whole run in ns.
    virtual uint64_t profiled_run(std::vector<OperatorTime>& operators) = 0;
};

class Engine {
public:
    virtual ~Engine() = default;
    // Failures: INVALID_MODEL, UNSUPPORTED, OUT_OF_MEMORY.
    virtual std::unique_ptr<LoadedModel> load(Model model, bool profiled) = 0;
};

extern const char* const kEngineName;
extern const char* const kEngineVersion;

// Failure: NO_LIBRARY, where the engine's library is not at `library` or lacks a function.
std::unique_ptr<Engine> make_engine(const Job& job, const char* library);

// Fill an input with values around 0 and of unit variance, the same each time.
inline void fill_normal(float* values, size_t count) {
    uint32_t state = 0x2545f491u;
    for (size_t index = 0; index < count; ++index) {
        float sum = -6;  // twelve uniform numbers in [0, 1) less 6: near enough to normal
        for (int part = 0; part < 12; ++part) sum += static_cast<float>((state = state * 1664525u + 1013904223u) >> 8) * 0x1p-24f;
        values[index] = sum;
    }
}

// A job file: what to run, in which order, under which conditions.
#pragma once

#include <memory>
#include <string_view>

#include "frames.h"

struct Segment {
    const uint8_t* literal;  // null: random float32 values are made here
    uint32_t count;          // bytes of a literal, values of random ones
    float scale;             // random values lie within [-scale, scale]
};

struct Model {
    Bytes payload;
    std::string_view text;          // an ncnn .param; empty for LiteRT
    std::vector<Segment> segments;  // the weights (ncnn) or the .tflite file, piece by piece; they point into the payload
};

struct PlannedBlock {
    uint32_t model, warmup_runs, runs, flags;
    bool profiled() const { return flags & 1; }
};

// The bytes of a model's segments as one file, its random values made on the way, the same each time.
class SegmentReader {
public:
    explicit SegmentReader(const Model& model) : model_(model) {}
    // Copy the next `size` bytes; returns fewer only at the end.
    size_t read(void* to, size_t size);
    uint64_t left() const;

private:
    const Model& model_;
    size_t segment_ = 0;
    uint64_t offset_ = 0;  // within the segment
    uint32_t random_ = 0x9e3779b9u;
    float value_ = 0;  // the last random value, for reads that end within one
};

class Job {
public:
    // Scan a whole job file; a Failure (BAD_JOB) says what is wrong with it.
    explicit Job(const char* path);

    Model read_model(uint32_t index) const;

    std::string engine, precision = "fp32", delegate = "xnnpack";
    bool shuffled = false;
    uint32_t threads = 1, rounds = 1, references = 0;
    uint64_t mask = 0, seed = 0;
    double warmup_tolerance = 0.02, warmup_most_s = 0.5, time_limit_s = 0, temperature_limit_c = 0, frequency_share = 0,
           cooldown_s = 0;
    std::vector<PlannedBlock> plan;  // the first `references` are the reference blocks
    uint32_t id = 0;                 // CRC-32 over the frames' checksums: which job a file of records belongs to

private:
    void read_settings(const Frame& frame);
    void set(const std::string& key, const std::string& value);
    void read_plan(const Frame& frame);
    void check() const;

    File file_;
    uint64_t file_bytes_ = 0;
    std::vector<uint64_t> models_;  // where each model's frame begins
};

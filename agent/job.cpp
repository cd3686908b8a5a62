#include <fcntl.h>
#include <cmath>
#include <iomanip>
#include <map>
#include <numeric>
#include <sstream>
#include "agent.h"

constexpr uint64_t kSchema = 1, kMostRuns = 1000000, kMostExecutions = 4000000;
constexpr double kDayS = 86400;
[[noreturn]] static void refuse(const std::string& why) { throw Failure("BAD_JOB", why); }

// Uniform in [-1, 1], by a hash of the index: the same each time, and as quick as copying.
static float random_value(uint32_t index) {
    uint32_t bits = index * 0x9e3779b9u + 0x7f4a7c15u;
    bits = (bits ^ bits >> 16) * 0x85ebca6bu;
    bits = (bits ^ bits >> 13) * 0xc2b2ae35u;
    return static_cast<float>(static_cast<int32_t>(bits)) / 2147483648.0f;
}

// Return a model as its frame holds it; with `made` false only see that it can be.
static Model parse_model(const Bytes& payload, bool made) {
    struct Segment { const uint8_t* literal; uint32_t count; float scale; };
    std::vector<Segment> segments;
    size_t bytes = 0;
    const uint8_t* at = payload.data();
    const auto skip = [&](size_t size) {
        if (size > static_cast<size_t>(payload.data() + payload.size() - at)) refuse("a model is shorter than what it says it holds");
        at += size;
        return at - size;
    };
    const auto take = [&](auto value) { return memcpy(&value, skip(sizeof value), sizeof value), value; };
    const uint32_t text_bytes = take(uint32_t{});
    Model model{{reinterpret_cast<const char*>(skip(text_bytes)), text_bytes}, {}};
    while (at < payload.data() + payload.size()) {
        const uint32_t kind = take(uint32_t{}), count = take(uint32_t{});
        const float scale = kind == 0 ? 0 : take(float{});
        if (kind > 1 || !std::isfinite(scale)) refuse("a model has a segment that is neither literal nor random");
        segments.push_back({kind == 0 ? skip(count) : nullptr, count, scale});
        bytes += kind == 0 ? count : count * sizeof scale;
    }
    if (made) model.file.reserve(bytes);  // at once, so that too much fails before any of it is made
    for (const auto& [literal, count, scale] : made ? segments : std::vector<Segment>()) {
        if (literal != nullptr) put_bytes(model.file, literal, count);
        else for (uint32_t index = 0; index < count; ++index) put(model.file, random_value(index) * scale);
    }
    return model;
}

Model Job::read_model(uint32_t index) const {
    Frame frame;
    if (read_frame(file_, models_.at(index), file_bytes_, frame, true)) return parse_model(frame.payload, true);
    throw Failure("INVALID_MODEL", "the job file has changed");
}

Job::Job(const char* path) : file_(open(path, O_RDONLY | O_CLOEXEC)) {
    const off_t end = lseek(file_.descriptor, 0, SEEK_END);
    if (end < 0) refuse(std::string("it cannot be read: ") + strerror(errno));
    file_bytes_ = static_cast<uint64_t>(end);
    uint32_t sequence = 0;
    uint16_t last = 0;  // the type of the frame before
    Frame frame;
    for (uint64_t offset = 0; offset < file_bytes_; offset += frame.size(), ++sequence) {
        if (!read_frame(file_, offset, file_bytes_, frame)) refuse("frame " + std::to_string(sequence) + " is damaged or cut short");
        const uint16_t type = frame.header.type;
        const bool follows = type == last + 1 || (type == kModel && last == kModel) || (type == kPlan && last == kJob);
        if (frame.header.sequence != sequence || !follows || type > kJobEnd) refuse("its frames are not in order");
        id = crc32(id, &frame.header.crc, sizeof frame.header.crc);
        if (type == kJob) read_settings(frame.payload);
        if (type == kModel) models_.push_back(offset), parse_model(frame.payload, false);
        if (type == kPlan) read_plan(frame.payload);
        Bytes counts;
        put(counts, static_cast<uint32_t>(models_.size()), static_cast<uint32_t>(plan.size()));
        if (type == kJobEnd && frame.payload != counts) refuse("its end counts other models or blocks than there are");
        last = type;
    }
    if (last != kJobEnd) refuse("it has no end");
}

void Job::read_settings(const Bytes& payload) {
    std::map<std::string, std::string> given;
    std::istringstream lines(std::string(payload.begin(), payload.end()));
    std::string key, value;
    while (std::getline(lines, key, ' ') && std::getline(lines, value)) {
        if (!given.emplace(key, value).second) refuse(key + " is given twice");
    }
    if (!key.empty()) refuse("it has no value for " + key);
    const auto take = [&given](const char* key, auto& to, auto least, auto most, int base = 10) {
        const auto found = given.extract(key);
        if (found.empty()) return;
        std::istringstream text(found.mapped());
        text >> std::setbase(base) >> to;
        const bool whole = !text.fail() && text.peek() == EOF && found.mapped()[0] != '-' && found.mapped()[0] != ' ';
        if (!whole || !(to >= least && to <= most)) refuse(std::string(key) + " cannot be " + found.mapped());
    };
    const auto choose = [&given](const char* key, std::string& to, const std::string& other) {
        const auto found = given.extract(key);
        if (found.empty() || found.mapped() == to) return;
        if (found.mapped() != other) refuse(std::string(key) + " cannot be " + found.mapped());
        to = other;
    };
    take("schema", schema, kSchema, kSchema);
    if (schema == 0) refuse("its schema is not given");
    choose("engine", engine, "litert");
    choose("precision", precision, engine == "ncnn" ? "fp16" : "fp32");
    choose("delegate", delegate, engine == "litert" ? "builtin" : "xnnpack");
    choose("order", order, "shuffled");
    take("threads", threads, 1u, 256u);
    take("rounds", rounds, 1u, kMostExecutions);
    take("references", references, 0u, kMostExecutions);
    take("mask", mask, 0u, UINT64_MAX, 16);
    take("seed", seed, 0u, UINT64_MAX);
    take("warmup_tolerance", warmup_tolerance, 0, 1);
    take("warmup_most_s", warmup_most_s, 0, kDayS);
    take("time_limit_s", time_limit_s, 0, 1000 * kDayS);
    take("temperature_limit_c", temperature_limit_c, 0, 1000);
    take("frequency_share", frequency_share, 0, 1);
    take("cooldown_s", cooldown_s, 0, kDayS);
    if (!given.empty()) refuse("unknown key " + given.begin()->first);
}

void Job::read_plan(const Bytes& payload) {
    plan.resize(payload.size() / sizeof(PlannedBlock));
    memcpy(plan.data(), payload.data(), plan.size() * sizeof(PlannedBlock));
    bool runnable = payload.size() % sizeof(PlannedBlock) == 0;
    for (const PlannedBlock& block : plan) {
        runnable = runnable && block.runs >= 1 && block.runs <= kMostRuns && block.warmup_runs <= kMostRuns;
        if (!runnable || block.profiled > 1 || block.model >= models_.size()) refuse("its plan has a block that cannot be run");
    }
    if (plan.empty() || references > plan.size()) refuse("it has no blocks, or fewer than references");
    if (double(rounds) * double(plan.size()) * double(1 + references) > double(kMostExecutions)) refuse("it has too many blocks");
}

std::vector<Execution> Job::executions() const {
    std::vector<Execution> all;
    std::vector<uint32_t> others(plan.size() - references);
    for (uint32_t round = 0; round < rounds; ++round) {
        std::iota(others.begin(), others.end(), static_cast<uint32_t>(references));
        uint64_t state = seed + round;
        for (size_t place = others.size(); order == "shuffled" && place-- > 1;) {
            uint64_t mixed = state += 0x9e3779b97f4a7c15u;
            mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
            mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
            std::swap(others[place], others[(mixed ^ mixed >> 31) % (place + 1)]);
        }
        const auto add_references = [&] { for (uint32_t entry = 0; entry < references; ++entry) all.push_back({round, entry}); };
        add_references();
        for (const uint32_t entry : others) all.push_back({round, entry}), add_references();
    }
    return all;
}

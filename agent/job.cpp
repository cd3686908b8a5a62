#include <fcntl.h>
#include <cerrno>
#include <cmath>
#include <map>
#include <numeric>
#include <sstream>
#include "agent.h"

constexpr uint32_t kMostRuns = 1000000, kMostExecutions = 4000000;
constexpr double kDayS = 86400, kMostWhole = 9007199254740992;  // as far as a double counts

[[noreturn]] static void refuse(const std::string& why) { throw Failure("BAD_JOB", why); }

// Uniform in [-1, 1], by a hash of the index: the same each time, and as quick as copying.
static float random_value(uint32_t index) {
    uint32_t bits = index * 0x9e3779b9u + 0x7f4a7c15u;
    bits = (bits ^ bits >> 16) * 0x85ebca6bu;
    bits = (bits ^ bits >> 13) * 0xc2b2ae35u;
    return static_cast<float>(static_cast<int32_t>(bits)) / 2147483648.0f;
}

// Call take(literal or null, count, scale) with each segment of a model, and return its text.
template <typename Take>
static std::string read_segments(const Bytes& payload, Take take) {
    Cursor fields{payload.data(), payload.size()};
    const auto text_bytes = fields.take<uint32_t>();
    std::string text(reinterpret_cast<const char*>(fields.skip(text_bytes)), text_bytes);
    while (fields.left > 0) {
        const auto kind = fields.take<uint32_t>(), count = fields.take<uint32_t>();
        const float scale = kind == 0 ? 0 : fields.take<float>();
        if (kind > 1 || !std::isfinite(scale)) refuse("a model has a segment that is neither literal nor random");
        take(kind == 0 ? fields.skip(count) : nullptr, count, scale);
    }
    return text;
}

Model Job::read_model(uint32_t index) const {
    Frame frame;
    if (!read_frame(file_, models_.at(index), file_bytes_, frame)) throw Failure("INVALID_MODEL", "the job file has changed");
    size_t bytes = 0;
    read_segments(frame.payload, [&bytes](const uint8_t* literal, size_t count, float) { bytes += literal ? count : count * sizeof(float); });
    Model model;
    model.file.reserve(bytes);
    model.text = read_segments(frame.payload, [&model](const uint8_t* literal, uint32_t count, float scale) {
        if (literal) put_bytes(model.file, literal, count);
        else for (uint32_t value = 0; value < count; ++value) put(model.file, random_value(value) * scale);
    });
    return model;
}

Job::Job(const char* path) : file_(open(path, O_RDONLY | O_CLOEXEC)) {
    const off_t end = lseek(file_.descriptor, 0, SEEK_END);
    if (end < 0) refuse(std::string("it cannot be read: ") + strerror(errno));
    file_bytes_ = static_cast<uint64_t>(end);
    uint32_t sequence = 0;
    uint16_t last = 0;  // the type of the frame before
    Frame frame;
    for (uint64_t offset = 0; offset < file_bytes_; offset += frame.size(), ++sequence) {
        const std::string where = "frame " + std::to_string(sequence);
        if (!read_frame(file_, offset, file_bytes_, frame)) refuse(where + " is damaged or cut short");
        const uint16_t type = frame.header.type;
        const bool follows = type == last + 1 || (type == kModel && last == kModel) || (type == kPlan && last == kJob);
        if (frame.header.sequence != sequence || !follows || type > kJobEnd) refuse(where + " is not where it belongs");
        id = crc32(id, &frame.header.crc, sizeof frame.header.crc);
        Cursor fields{frame.payload.data(), frame.payload.size()};
        if (type == kJob) read_settings(frame.payload);
        if (type == kModel) models_.push_back(offset), read_segments(frame.payload, [](const uint8_t*, uint32_t, float) {});
        while (type == kPlan && fields.left > 0) plan.push_back(fields.take<PlannedBlock>());
        if (type == kJobEnd && (fields.take<uint32_t>() != models_.size() || fields.take<uint32_t>() != plan.size() || fields.left > 0)) {
            refuse("its end counts other models or blocks than there are");
        }
        last = type;
    }
    if (last != kJobEnd) refuse("it has no end");
    check_plan();
}

void Job::read_settings(const Bytes& text) {
    std::map<std::string, std::string> given;
    std::istringstream lines(std::string(text.begin(), text.end()));
    for (std::string line; std::getline(lines, line);) {
        const size_t space = std::min(line.find(' '), line.size() - 1);
        if (!given.emplace(line.substr(0, space), line.substr(space + 1)).second) refuse("a key is given twice: " + line);
    }
    const auto take = [&given](const std::string& key, const std::string& fallback) {
        const auto found = given.extract(key);
        return found.empty() ? fallback : found.mapped();
    };
    const auto choose = [&take](const std::string& key, const std::string& fallback, const std::string& other) {
        const std::string value = take(key, fallback);
        return value == fallback || value == other ? value : (refuse(key + " cannot be " + value), value);
    };
    const auto number = [&take](const std::string& key, const std::string& fallback, double most, double least = 0) {
        const std::string value = take(key, fallback);
        char* end = nullptr;
        const double found = strtod(value.c_str(), &end);
        return !value.empty() && *end == 0 && found >= least && found <= most ? found : (refuse(key + " cannot be " + value), 0);
    };
    const auto whole = [&number](const std::string& key, const std::string& fallback, double most, double least = 0) {
        const double found = number(key, fallback, most, least);
        return found == std::floor(found) ? static_cast<uint64_t>(found) : (refuse(key + " is no whole number"), 0);
    };
    whole("schema", "none", 1, 1);
    engine = choose("engine", "ncnn", "litert");
    precision = choose("precision", "fp32", engine == "ncnn" ? "fp16" : "fp32");
    delegate = choose("delegate", "xnnpack", engine == "litert" ? "builtin" : "xnnpack");
    order = choose("order", "given", "shuffled");
    threads = whole("threads", "1", 256, 1);
    rounds = whole("rounds", "1", kMostExecutions, 1);
    references = whole("references", "0", 1000);
    given.emplace("mask", "0").first->second.insert(0, "0x");  // a hexadecimal number, as strtod knows it
    mask = whole("mask", "", kMostWhole);
    seed = whole("seed", "0", kMostWhole);
    warmup_tolerance = number("warmup_tolerance", "0.02", 1);
    warmup_most_s = number("warmup_most_s", "0.5", kDayS);
    time_limit_s = number("time_limit_s", "0", 1000 * kDayS);
    temperature_limit_c = number("temperature_limit_c", "0", 1000);
    frequency_share = number("frequency_share", "0", 1);
    cooldown_s = number("cooldown_s", "0", kDayS);
    if (!given.empty()) refuse("unknown key " + given.begin()->first);
}

void Job::check_plan() const {
    if (plan.empty() || references > plan.size()) refuse("it has no blocks, or fewer than references");
    if (double(rounds) * double(plan.size()) * (1.0 + references) > kMostExecutions) refuse("it has too many blocks");
    for (const PlannedBlock& block : plan) {
        const bool runnable = block.runs >= 1 && block.runs <= kMostRuns && block.warmup_runs <= kMostRuns;
        if (!runnable || block.profiled > 1 || block.model >= models_.size()) refuse("its plan has a block that cannot be run");
    }
}

std::vector<Execution> Job::executions() const {
    std::vector<Execution> all;
    std::vector<uint32_t> others(plan.size() - references);
    for (uint32_t round = 0; round < rounds; ++round) {
        std::iota(others.begin(), others.end(), references);
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

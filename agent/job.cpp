#include "job.h"

#include <cmath>
#include <fcntl.h>
#include <set>
#include <sstream>
#include <sys/stat.h>

namespace {

constexpr uint32_t kMostRuns = 1000000, kMostThreads = 256;

[[noreturn]] void refuse(const std::string& why) { throw Failure("BAD_JOB", why); }

double number(const std::string& key, const std::string& text, double most) {
    size_t used = 0;
    double value = -1;
    try {
        value = std::stod(text, &used);
    } catch (const std::logic_error&) {
    }
    if (used != text.size() || !(value >= 0 && value <= most)) refuse(key + " is not a number in range: " + text);
    return value;
}

uint64_t whole(const std::string& key, const std::string& text, uint64_t least, uint64_t most, int base = 10) {
    size_t used = 0;
    uint64_t value = 0;
    try {
        value = isxdigit(static_cast<unsigned char>(text[0])) ? std::stoull(text, &used, base) : 0;
    } catch (const std::logic_error&) {
        used = 0;
    }
    if (text.empty() || used != text.size() || value < least || value > most) {
        refuse(key + " is not a whole number in range: " + text);
    }
    return value;
}

const std::string& one_of(const std::string& key, const std::string& text, const char* first, const char* second) {
    if (text != first && text != second) refuse(key + " is " + first + " or " + second + ", not " + text);
    return text;
}

Model parse_model(Bytes payload) {
    Model model;
    model.payload = std::move(payload);
    Cursor fields(model.payload.data(), model.payload.size());
    const auto text_bytes = fields.take<uint32_t>();
    model.text = {reinterpret_cast<const char*>(fields.skip(text_bytes)), text_bytes};
    while (fields.left() > 0) {
        const auto kind = fields.take<uint32_t>();
        const auto count = fields.take<uint32_t>();
        if (kind > 1) refuse("a model has a segment of the unknown kind " + std::to_string(kind));
        Segment segment{nullptr, count, 0};
        if (kind == 0) segment.literal = fields.skip(count);
        if (kind == 1) segment.scale = fields.take<float>();
        if (!std::isfinite(segment.scale)) refuse("a segment's scale is no number");
        if (count > 0) model.segments.push_back(segment);
    }
    return model;
}

}  // namespace

size_t SegmentReader::read(void* to, size_t size) {
    auto* out = static_cast<uint8_t*>(to);
    size_t done = 0;
    while (done < size && segment_ < model_.segments.size()) {
        const Segment& segment = model_.segments[segment_];
        const uint64_t bytes = segment.literal ? segment.count : uint64_t{segment.count} * sizeof(float);
        if (segment.literal) {
            const size_t take = std::min<uint64_t>(size - done, bytes - offset_);
            memcpy(out + done, segment.literal + offset_, take);
            done += take;
            offset_ += take;
        } else {
            while (done < size && offset_ < bytes) {
                if (offset_ % sizeof(float) == 0) {
                    random_ ^= random_ << 13;
                    random_ ^= random_ >> 17;
                    random_ ^= random_ << 5;
                    value_ = static_cast<float>(static_cast<int32_t>(random_)) * (segment.scale / 2147483648.0f);
                }
                const size_t within = offset_ % sizeof(float), take = std::min(size - done, sizeof(float) - within);
                memcpy(out + done, reinterpret_cast<const uint8_t*>(&value_) + within, take);
                done += take;
                offset_ += take;
            }
        }
        if (offset_ == bytes) ++segment_, offset_ = 0;
    }
    return done;
}

uint64_t SegmentReader::left() const {
    uint64_t bytes = 0;
    for (size_t index = segment_; index < model_.segments.size(); ++index) {
        const Segment& segment = model_.segments[index];
        bytes += segment.literal ? segment.count : uint64_t{segment.count} * sizeof(float);
    }
    return bytes - offset_;
}

Job::Job(const char* path) : file_(open(path, O_RDONLY | O_CLOEXEC)) {
    struct stat status{};
    if (file_.get() < 0 || fstat(file_.get(), &status) != 0) refuse(std::string("the job cannot be read: ") + strerror(errno));
    file_bytes_ = static_cast<uint64_t>(status.st_size);
    bool ended = false, planned = false;
    uint32_t sequence = 0;
    Frame frame;
    for (uint64_t offset = 0; offset < file_bytes_; offset += kHeaderBytes + frame.payload.size(), ++sequence) {
        const std::string where = "frame " + std::to_string(sequence);
        if (!read_frame(file_.get(), offset, file_bytes_, frame)) refuse(where + " is damaged or cut short");
        const bool in_place = frame.type == kJob ? sequence == 0 : sequence > 0;
        if (frame.sequence != sequence || !in_place || ended) refuse(where + " is not where it belongs");
        id = crc32(id, reinterpret_cast<const uint8_t*>(&frame.crc), sizeof frame.crc);
        if (frame.type == kJob) {
            read_settings(frame);
        } else if (frame.type == kModel && !planned) {
            parse_model(frame.payload);
            models_.push_back(offset);
        } else if (frame.type == kPlan && !planned) {
            read_plan(frame);
            planned = true;
        } else if (frame.type == kJobEnd && planned) {
            Cursor fields(frame.payload.data(), frame.payload.size());
            ended = fields.take<uint32_t>() == models_.size() && fields.take<uint32_t>() == plan.size() && !fields.left();
            if (!ended) refuse("the end counts other models or blocks than there are");
        } else {
            refuse(where + " is of an unexpected type: " + std::to_string(frame.type));
        }
    }
    if (!ended) refuse("the job has no end");
    check();
}

Model Job::read_model(uint32_t index) const {
    Frame frame;
    if (!read_frame(file_.get(), models_.at(index), file_bytes_, frame)) {
        throw Failure("INVALID_MODEL", "the job file has changed or cannot be read any more");
    }
    return parse_model(std::move(frame.payload));
}

void Job::read_settings(const Frame& frame) {
    std::istringstream lines(std::string(frame.payload.begin(), frame.payload.end()));
    std::set<std::string> seen;
    for (std::string line; std::getline(lines, line);) {
        const size_t space = line.find(' ');
        if (space == std::string::npos) refuse("a line without a value: " + line);
        const std::string key = line.substr(0, space);
        if (!seen.insert(key).second) refuse(key + " is given twice");
        set(key, line.substr(space + 1));
    }
    if (!seen.count("schema") || !seen.count("engine")) refuse("schema or engine is missing");
}

void Job::set(const std::string& key, const std::string& value) {
    constexpr double kDay = 86400;
    if (key == "schema") whole(key, value, 1, 1);
    else if (key == "engine") engine = one_of(key, value, "ncnn", "litert");
    else if (key == "threads") threads = static_cast<uint32_t>(whole(key, value, 1, kMostThreads));
    else if (key == "mask") mask = whole(key, value, 0, UINT64_MAX, 16);
    else if (key == "rounds") rounds = static_cast<uint32_t>(whole(key, value, 1, 1000000));
    else if (key == "order") shuffled = one_of(key, value, "given", "shuffled") == "shuffled";
    else if (key == "seed") seed = whole(key, value, 0, UINT64_MAX);
    else if (key == "references") references = static_cast<uint32_t>(whole(key, value, 0, 1000));
    else if (key == "precision") precision = one_of(key, value, "fp32", "fp16");
    else if (key == "delegate") delegate = one_of(key, value, "xnnpack", "builtin");
    else if (key == "warmup_tolerance") warmup_tolerance = number(key, value, 1);
    else if (key == "warmup_most_s") warmup_most_s = number(key, value, kDay);
    else if (key == "time_limit_s") time_limit_s = number(key, value, 1000 * kDay);
    else if (key == "temperature_limit_c") temperature_limit_c = number(key, value, 1000);
    else if (key == "frequency_share") frequency_share = number(key, value, 1);
    else if (key == "cooldown_s") cooldown_s = number(key, value, kDay);
    else refuse("the unknown key " + key);
}

void Job::read_plan(const Frame& frame) {
    Cursor fields(frame.payload.data(), frame.payload.size());
    while (fields.left() > 0) {
        PlannedBlock block{};
        block.model = fields.take<uint32_t>();
        block.warmup_runs = fields.take<uint32_t>();
        block.runs = fields.take<uint32_t>();
        block.flags = fields.take<uint32_t>();
        const bool fits = block.runs >= 1 && block.runs <= kMostRuns && block.warmup_runs <= kMostRuns && block.flags <= 1;
        if (!fits || block.model >= models_.size()) refuse("block " + std::to_string(plan.size()) + " cannot be run");
        plan.push_back(block);
    }
}

void Job::check() const {
    if (plan.empty() || references > plan.size()) refuse("there are fewer blocks than references, or none");
    const double executions = double(rounds) * double(plan.size()) * (1.0 + references);
    if (executions > 4e9) refuse("there are too many blocks to count");
    if (engine == "ncnn" && delegate != "xnnpack") refuse("ncnn has no delegates");
    if (engine == "litert" && precision != "fp32") refuse("precision is ncnn's; LiteRT's models have their own types");
}

#include "records.h"

#include <algorithm>
#include <fcntl.h>
#include <sys/stat.h>
#include <system_error>

#include "stop.h"

Records::Records(const char* path, uint32_t from, uint32_t job_id) : file_(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644)) {
    if (file_.get() < 0) throw Failure("STORAGE", std::string("the file of records cannot be opened: ") + strerror(errno));
    recover(from, job_id);
}

void Records::recover(uint32_t from, uint32_t job_id) {
    struct stat status {};
    fstat(file_.get(), &status);
    const std::string ours = "\njob " + std::to_string(job_id) + "\n";
    for (Frame frame; read_frame(file_.get(), bytes_, static_cast<uint64_t>(status.st_size), frame); ++sequence_) {
        if (frame.sequence != sequence_) break;
        if (sequence_ == 0 && (frame.type != kHello || std::search(frame.payload.begin(), frame.payload.end(), ours.begin(),
                                                                   ours.end()) == frame.payload.end())) {
            throw Failure("BAD_JOB", "the file of records belongs to another job");
        }
        if (sequence_ >= from) write_stream(make_frame(sequence_, frame.type, frame.payload));
        note(frame.type, frame.payload);
        bytes_ += kHeaderBytes + frame.payload.size();
    }
    if (ftruncate(file_.get(), static_cast<off_t>(bytes_)) != 0 || lseek(file_.get(), 0, SEEK_END) < 0) {
        throw Failure("STORAGE", std::string("the file of records cannot be cut: ") + strerror(errno));
    }
}

void Records::note(uint16_t type, const Bytes& payload) {
    complete_ = false;
    if (type == kHello || payload.size() < 12) return;
    Cursor fields(payload.data(), payload.size());
    const auto first = fields.take<uint32_t>();
    fields.take<uint32_t>();
    const auto third = fields.take<uint32_t>();
    if (type == kEnd) {
        complete_ = third == 0;
    } else if (first != kWholeJob) {
        next_position_ = first + 1;
        ++(type == kBlock ? blocks_ : errors_);
    }
}

void Records::append(FrameType type, const Bytes& payload) {
    const Bytes frame = make_frame(sequence_, type, payload);
    try {
        write_all(file_.get(), frame.data(), frame.size());
    } catch (const std::system_error& error) {
        const bool cut = ftruncate(file_.get(), static_cast<off_t>(bytes_)) == 0;
        const StorageFull full{error.code().message() + (cut ? "" : "; the file ends within a record")};
        write_stream(make_frame(sequence_, kError, error_payload(kWholeJob, 0, 0, "STORAGE", full.why)));
        throw full;
    }
    bytes_ += frame.size();
    ++sequence_;
    note(type, payload);
    write_stream(frame);
}

Bytes error_payload(uint32_t position, uint32_t round, uint32_t entry, const char* reason, const std::string& detail) {
    Bytes payload;
    put<uint32_t>(payload, position);
    put<uint32_t>(payload, round);
    put<uint32_t>(payload, entry);
    put_text(payload, std::string(reason) + " " + detail);
    return payload;
}

void write_stream(const Bytes& frame) {
    try {
        write_all(STDOUT_FILENO, frame.data(), frame.size());
    } catch (const std::system_error&) {
        request_stop();
    }
}

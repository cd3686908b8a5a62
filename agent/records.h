// The stream of records: every record goes to a file on the device first, then to standard output.
#pragma once

#include "frames.h"

constexpr uint32_t kWholeJob = 0xffffffff;  // the position of errors that are the job's

// The file could not take a record; it still holds every record before it, whole.
struct StorageFull {
    std::string why;
};

class Records {
public:
    // Open or create the file, cut a damaged or incomplete tail, and write again what the host lacks: sequences from
    // `from` on.  A Failure (BAD_JOB, STORAGE) where it holds another job's records or cannot be opened.
    Records(const char* path, uint32_t from, uint32_t job_id);

    void append(FrameType type, const Bytes& payload);

    uint32_t next_position() const { return next_position_; }  // one after the last execution that has a record
    uint32_t blocks() const { return blocks_; }
    uint32_t errors() const { return errors_; }
    bool complete() const { return complete_; }  // the last record says that everything ran

private:
    void recover(uint32_t from, uint32_t job_id);
    void note(uint16_t type, const Bytes& payload);

    File file_;
    uint64_t bytes_ = 0;
    uint32_t sequence_ = 0, next_position_ = 0, blocks_ = 0, errors_ = 0;
    bool complete_ = false;
};

Bytes error_payload(uint32_t position, uint32_t round, uint32_t entry, const char* reason, const std::string& detail);

// Write to standard output alone; a reader that is gone is a request to stop.
void write_stream(const Bytes& frame);

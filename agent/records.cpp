#include <fcntl.h>
#include "agent.h"

static bool write_all(int descriptor, const Bytes& bytes) {
    for (size_t done = 0; done < bytes.size();) {
        const ssize_t written = write(descriptor, bytes.data() + done, bytes.size() - done);
        if (written < 0 && errno != EINTR) return false;
        done += static_cast<size_t>(std::max<ssize_t>(written, 0));
    }
    return true;
}

static void require(bool done, const char* otherwise) {
    if (!done) throw Failure("STORAGE", std::string(otherwise) + ": " + strerror(errno));
}

void tell(const Bytes& frame) { if (!write_all(STDOUT_FILENO, frame)) request_stop(); }

Records::Records(const char* path, uint32_t& sequence, uint32_t job_id)
    : file_(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644)), sequence_(sequence) {
    const uint32_t from = sequence;
    const off_t found = lseek(file_.descriptor, 0, SEEK_END);
    require(found >= 0, "the file of records cannot be opened");
    Frame frame;
    uint32_t& next = sequence_ = 0;
    for (; read_frame(file_, bytes_, static_cast<uint64_t>(found), frame) && frame.header.sequence == next; ++next) {
        const std::string text(frame.payload.begin(), frame.payload.end());
        if (next == 0 && text.find("\njob " + std::to_string(job_id) + "\n") == std::string::npos) {
            throw Failure("BAD_JOB", "the file of records belongs to another job");
        }
        if (next >= from) tell(make_frame(next, frame.header.type, frame.payload));
        note(frame.header.type, frame.payload);
        bytes_ += frame.size();
    }
    const bool cut = ftruncate(file_.descriptor, static_cast<off_t>(bytes_)) == 0;
    require(cut && lseek(file_.descriptor, 0, SEEK_END) >= 0, "the file of records cannot be cut");
}

void Records::note(uint16_t type, const Bytes& payload) {
    uint32_t fields[3] = {};  // position, round, entry of a block or an error; blocks, errors, reason of an end
    memcpy(fields, payload.data(), std::min(sizeof fields, payload.size()));
    complete = type == kEnd && fields[2] == 0;
    if (type != kBlock && type != kError) return;
    next_position = fields[0] + 1;
    ++(type == kBlock ? blocks : errors);
}

void Records::append(FrameType type, const Bytes& payload) {
    const Bytes frame = make_frame(sequence_, type, payload);
    if (!write_all(file_.descriptor, frame)) {
        const Failure full("STORAGE", std::string("a record cannot be written: ") + strerror(errno));
        require(ftruncate(file_.descriptor, static_cast<off_t>(bytes_)) == 0, "a part of a record cannot be cut off");
        throw full;
    }
    bytes_ += frame.size();
    ++sequence_;
    note(type, payload);
    tell(frame);
}

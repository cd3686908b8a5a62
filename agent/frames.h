// Frames: what job files and streams of records are made of.  All numbers are little endian.
//   u32 payload bytes | u32 CRC-32 of the rest of the header and the payload | u32 sequence | u16 type | u16 zero | payload
#pragma once

#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

constexpr size_t kHeaderBytes = 16;
constexpr uint32_t kMostPayloadBytes = 256u << 20;

enum FrameType : uint16_t { kJob = 1, kModel = 2, kPlan = 3, kJobEnd = 4, kHello = 16, kBlock = 17, kError = 18, kEnd = 19 };

// Why a block, or the whole job, could not be done: one of the reasons that the host knows, and text for people.
struct Failure : std::runtime_error {
    Failure(const char* reason_, const std::string& detail) : std::runtime_error(detail), reason(reason_) {}
    const char* reason;
};

// An open file, closed with its owner.
class File {
public:
    explicit File(int descriptor = -1) : descriptor_(descriptor) {}
    File(File&& other) noexcept : descriptor_(other.descriptor_) { other.descriptor_ = -1; }
    ~File() {
        if (descriptor_ >= 0) close(descriptor_);
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    int get() const { return descriptor_; }

private:
    int descriptor_;
};

using Bytes = std::vector<uint8_t>;

template <typename T>
void put(Bytes& to, T value) {
    static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "frames are little endian");
    const size_t at = to.size();
    to.resize(at + sizeof value);
    memcpy(to.data() + at, &value, sizeof value);
}

void put_text(Bytes& to, const std::string& text);

// Takes values off the front of bytes that it does not own.
class Cursor {
public:
    Cursor(const uint8_t* data, size_t size) : at_(data), left_(size) {}
    template <typename T>
    T take() {
        T value;
        memcpy(&value, skip(sizeof value), sizeof value);
        return value;
    }
    // Return the next `size` bytes and go on after them; a Failure (BAD_JOB) where there are fewer.
    const uint8_t* skip(size_t size);
    size_t left() const { return left_; }

private:
    const uint8_t* at_;
    size_t left_;
};

// Continue (or begin, with 0) a CRC-32 of zlib's polynomial.
uint32_t crc32(uint32_t crc, const uint8_t* data, size_t size);

Bytes make_frame(uint32_t sequence, uint16_t type, const Bytes& payload);

struct Frame {
    uint32_t sequence;
    uint16_t type;
    uint32_t crc;
    Bytes payload;
};

// Read the frame at `offset` of a file; false where none is whole and undamaged there.
bool read_frame(int file, uint64_t offset, uint64_t file_bytes, Frame& frame);

// Write everything, or throw std::system_error; interrupted and partial writes go on.
void write_all(int file, const uint8_t* data, size_t size);

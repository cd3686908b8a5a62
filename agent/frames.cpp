#include "frames.h"

#include <array>
#include <cerrno>
#include <poll.h>
#include <system_error>

namespace {

std::array<uint32_t, 256> crc_table() {
    std::array<uint32_t, 256> table{};
    for (uint32_t index = 0; index < 256; ++index) {
        uint32_t value = index;
        for (int bit = 0; bit < 8; ++bit) value = value & 1 ? 0xedb88320u ^ value >> 1 : value >> 1;
        table[index] = value;
    }
    return table;
}

bool read_whole(int file, uint64_t offset, uint8_t* to, size_t size) {
    while (size > 0) {
        const ssize_t got = pread(file, to, size, static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        offset += static_cast<uint64_t>(got);
        to += got;
        size -= static_cast<size_t>(got);
    }
    return true;
}

}  // namespace

void put_text(Bytes& to, const std::string& text) { to.insert(to.end(), text.begin(), text.end()); }

const uint8_t* Cursor::skip(size_t size) {
    if (size > left_) throw Failure("BAD_JOB", "a frame is shorter than what it says it holds");
    const uint8_t* found = at_;
    at_ += size;
    left_ -= size;
    return found;
}

uint32_t crc32(uint32_t crc, const uint8_t* data, size_t size) {
    static const std::array<uint32_t, 256> table = crc_table();
    crc = ~crc;
    for (size_t index = 0; index < size; ++index) crc = table[(crc ^ data[index]) & 255] ^ crc >> 8;
    return ~crc;
}

Bytes make_frame(uint32_t sequence, uint16_t type, const Bytes& payload) {
    Bytes rest;
    rest.reserve(8 + payload.size());
    put<uint32_t>(rest, sequence);
    put<uint16_t>(rest, type);
    put<uint16_t>(rest, 0);
    rest.insert(rest.end(), payload.begin(), payload.end());
    Bytes frame;
    frame.reserve(8 + rest.size());
    put<uint32_t>(frame, static_cast<uint32_t>(payload.size()));
    put<uint32_t>(frame, crc32(0, rest.data(), rest.size()));
    frame.insert(frame.end(), rest.begin(), rest.end());
    return frame;
}

bool read_frame(int file, uint64_t offset, uint64_t file_bytes, Frame& frame) {
    uint8_t header[kHeaderBytes];
    if (offset + kHeaderBytes > file_bytes || !read_whole(file, offset, header, kHeaderBytes)) return false;
    Cursor fields(header, kHeaderBytes);
    const auto size = fields.take<uint32_t>();
    frame.crc = fields.take<uint32_t>();
    frame.sequence = fields.take<uint32_t>();
    frame.type = fields.take<uint16_t>();
    const bool known = fields.take<uint16_t>() == 0;
    // The size is believed only as far as the file goes, so that a damaged one cannot ask for memory.
    if (!known || size > kMostPayloadBytes || size > file_bytes - offset - kHeaderBytes) return false;
    frame.payload.resize(size);
    if (!read_whole(file, offset + kHeaderBytes, frame.payload.data(), size)) return false;
    return crc32(crc32(0, header + 8, 8), frame.payload.data(), size) == frame.crc;
}

void write_all(int file, const uint8_t* data, size_t size) {
    while (size > 0) {
        const ssize_t written = write(file, data, size);
        if (written > 0) {
            data += written;
            size -= static_cast<size_t>(written);
        } else if (written < 0 && errno == EAGAIN) {
            pollfd ready{file, POLLOUT, 0};
            poll(&ready, 1, 100);
        } else if (written == 0 || errno != EINTR) {
            throw std::system_error(written == 0 ? ENOSPC : errno, std::generic_category());
        }
    }
}

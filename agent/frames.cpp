#include <cstddef>
#include "agent.h"

constexpr uint32_t kMostPayloadBytes = 256u << 20;
uint32_t crc32(uint32_t crc, const void* data, size_t size) {
    constexpr uint32_t kHalfBytes[] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
                                       0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    crc = ~crc;
    for (const auto* byte = static_cast<const uint8_t*>(data); size-- > 0; ++byte) {
        crc ^= *byte;
        crc = crc >> 4 ^ kHalfBytes[crc & 15];
        crc = crc >> 4 ^ kHalfBytes[crc & 15];
    }
    return ~crc;
}

static uint32_t checksum(const Frame::Header& header, const Bytes& payload) {
    return crc32(crc32(0, &header.sequence, sizeof header - offsetof(Frame::Header, sequence)), payload.data(), payload.size());
}

Bytes make_frame(uint32_t sequence, uint16_t type, const Bytes& payload) {
    Frame::Header header{static_cast<uint32_t>(payload.size()), 0, sequence, type, 0};
    header.crc = checksum(header, payload);
    Bytes frame;
    put(frame, header);
    put_bytes(frame, payload.data(), payload.size());
    return frame;
}

bool read_frame(const File& file, uint64_t offset, uint64_t file_bytes, Frame& frame) {
    const auto read = [&file](void* to, size_t size, uint64_t from) {
        return pread(file.descriptor, to, size, static_cast<off_t>(from)) == static_cast<ssize_t>(size);
    };
    Frame::Header& header = frame.header;
    if (offset + sizeof header > file_bytes || !read(&header, sizeof header, offset)) return false;
    // The size is believed only as far as the file goes, so that a damaged one cannot ask for memory.
    if (header.zero != 0 || header.bytes > kMostPayloadBytes || header.bytes > file_bytes - offset - sizeof header) return false;
    frame.payload.resize(header.bytes);
    return read(frame.payload.data(), header.bytes, offset + sizeof header) && checksum(header, frame.payload) == header.crc;
}

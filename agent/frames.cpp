#include <cstddef>
#include <numeric>
#include "agent.h"

constexpr uint32_t kMostPayloadBytes = 256u << 20;
uint32_t crc32(uint32_t crc, const void* data, size_t size) {
    static const std::vector<uint32_t> table = [] {
        std::vector<uint32_t> made(256);
        std::iota(made.begin(), made.end(), 0u);
        for (uint32_t& value : made) for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (0xedb88320u & (0u - (value & 1)));
        return made;
    }();
    crc = ~crc;
    for (const auto* byte = static_cast<const uint8_t*>(data); size-- > 0; ++byte) crc = crc >> 8 ^ table[(crc ^ *byte) & 255];
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

bool read_frame(const File& file, uint64_t offset, uint64_t file_bytes, Frame& frame, bool known) {
    const auto read = [&file](void* to, size_t size, uint64_t from) {
        return pread(file.descriptor, to, size, static_cast<off_t>(from)) == static_cast<ssize_t>(size);
    };
    Frame::Header& header = frame.header;
    if (offset + sizeof header > file_bytes || !read(&header, sizeof header, offset)) return false;
    // The size is believed only as far as the file goes, so that a damaged one cannot ask for memory.
    if (header.zero != 0 || header.bytes > kMostPayloadBytes || header.bytes > file_bytes - offset - sizeof header) return false;
    frame.payload.resize(header.bytes);
    return read(frame.payload.data(), header.bytes, offset + sizeof header) && (known || checksum(header, frame.payload) == header.crc);
}

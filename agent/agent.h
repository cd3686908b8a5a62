// The parts of pocketnas-agent on one page, each with its .cpp: frames, job, records, stop, machine, measure, engine_*.
#pragma once
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

// ---- frames: what job files and streams of records are made of; all numbers are little endian
using Bytes = std::vector<uint8_t>;
enum FrameType : uint16_t { kJob = 1, kModel = 2, kPlan = 3, kJobEnd = 4, kHello = 16, kBlock = 17, kError = 18, kEnd = 19 };
struct Frame {
    struct Header {
        uint32_t bytes, crc, sequence;  // of the payload; CRC-32 of the rest of the header and the payload; from 0
        uint16_t type, zero;
    } header;
    Bytes payload;
    size_t size() const { return sizeof header + payload.size(); }
};
static_assert(sizeof(Frame::Header) == 16 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "written as it lies in memory");
struct Failure : std::runtime_error {  // why a block, or the whole job, could not be done
    Failure(const char* word, const std::string& detail) : std::runtime_error(detail), reason(word) {}
    std::string text() const { return std::string(reason) + " " + what(); }
    const char* reason;  // a word that the host knows
};
struct File {  // an open file, closed with its owner
    explicit File(int file) : descriptor(file) {}
    ~File() { if (descriptor >= 0) close(descriptor); }
    File(const File&) = delete;
    const int descriptor;
};
inline void put_bytes(Bytes& to, const void* data, size_t size) {
    to.insert(to.end(), static_cast<const uint8_t*>(data), static_cast<const uint8_t*>(data) + size);
}
inline Bytes bytes_of(const std::string& text) { return {text.begin(), text.end()}; }
inline void put_text(Bytes& to, const std::string& text) { put_bytes(to, text.data(), text.size()); }
template <typename... Numbers>
void put(Bytes& to, Numbers... numbers) { (put_bytes(to, &numbers, sizeof numbers), ...); }  // each as wide as its type

uint32_t crc32(uint32_t crc, const void* data, size_t size);  // zlib's; begin with 0
Bytes make_frame(uint32_t sequence, uint16_t type, const Bytes& payload);
// Read the frame at `offset` of a file of `file_bytes`; false where none is whole and undamaged there.  Known: seen undamaged.
bool read_frame(const File& file, uint64_t offset, uint64_t file_bytes, Frame& frame, bool known = false);

// ---- job: what to run, in which order, under which conditions
struct Model {
    std::string text;  // an ncnn .param; empty for LiteRT
    Bytes file;        // the weights, or the .tflite file
};
struct PlannedBlock { uint32_t model, warmup_runs, runs, profiled; };  // profiled: 1 to time each operator
struct Execution { uint32_t round, entry; };
class Job {
public:
    explicit Job(const char* path);  // scans the whole file; Failure BAD_JOB says what is wrong with it
    Model read_model(uint32_t index) const;
    // In each round the reference blocks run in turn before the first block and after every one.  The other blocks keep
    // the plan's order, or are shuffled anew: Fisher-Yates from the last down, the partner of place i being splitmix64
    // modulo (i + 1), the generator starting from seed + round.
    std::vector<Execution> executions() const;

    std::string engine = "ncnn", precision = "fp32", delegate = "xnnpack", order = "given";
    uint64_t schema = 0, threads = 1, rounds = 1, references = 0, mask = 0, seed = 0;
    double warmup_tolerance = 0.02, warmup_most_s = 0.5, time_limit_s = 0, temperature_limit_c = 0, frequency_share = 0, cooldown_s = 0;
    std::vector<PlannedBlock> plan;  // the first `references` are the reference blocks
    uint32_t id = 0;                 // CRC-32 over the frames' own: which job a file of records belongs to
private:
    void read_settings(const Bytes& payload);
    void read_plan(const Bytes& payload);
    File file_;
    uint64_t file_bytes_ = 0;
    std::vector<uint64_t> models_;  // where each model's frame begins
};
// ---- records: each goes to a file on the device first, and then to standard output
class Records {
public:
    // Open or create the file, cut a damaged tail, and tell the host again what it lacks: from `sequence` on, which then
    // counts on.  Failure: BAD_JOB where the file holds another job's records, STORAGE where it cannot be opened.
    Records(const char* path, uint32_t& sequence, uint32_t job_id);
    void append(FrameType type, const Bytes& payload);  // Failure STORAGE; the file still holds all before, whole

    uint32_t next_position = 0, blocks = 0, errors = 0;  // next_position: one after the last execution that has a record
    bool complete = false;                               // whether the last record says that everything ran
private:
    void note(uint16_t type, const Bytes& payload);
    File file_;
    uint64_t bytes_ = 0;
    uint32_t& sequence_;
};
void tell(const Bytes& frame);  // to standard output alone; a reader that is gone is a request to stop

// ---- stop: SIGTERM and its like, a parent or a reader that is gone, the job's time limit
struct Stopped { bool time_over; };  // thrown between runs
void watch_for_stop();  // from now on; where a run is too long to be waited for, the process exits with 143 within a second
void request_stop();
void check_going(uint64_t now_raw_ns, uint64_t deadline_raw_ns);  // throws Stopped

// ---- machine: clocks, cores, memory, frequencies, temperatures
inline uint64_t clock_ns(clockid_t clock) {
    timespec now;
    clock_gettime(clock, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}
inline uint64_t raw_ns() { return clock_ns(CLOCK_MONOTONIC_RAW); }
class Machine {
public:
    explicit Machine(std::string sysfs);        // "/sys" but for tests
    std::vector<int32_t> millidegrees() const;  // of the zones; INT32_MIN where one cannot be read this time
    uint32_t khz(int core, const char* which = "scaling_cur_freq") const;  // 0 unknown
    // Rest until it is cool and fast enough for the job; returns the ns it took.  Failure THROTTLED after cooldown_s.
    uint64_t cool_down(const Job& job, uint64_t deadline_raw_ns) const;
    std::string zones;  // names of the thermal zones, joined by commas
private:
    std::string too_warm(const Job& job) const;  // what is wrong; empty where nothing is
    std::string sysfs_;
    std::vector<std::string> paths_;  // of the zones' temperatures
};
std::string isa();        // extensions of this processor that matter to inference, separated by spaces
void require_isa();       // Failure UNKNOWN_ISA where the program was built for more than this processor has
void pin(uint64_t mask);  // Failure NO_CORES
uint64_t named_kb(const char* path, const std::string& name);  // of a file in /proc; 0 unknown.  (rusage counts parents, too.)
bool lock_memory();       // whether pages that were touched stay in memory from now on
void limit_memory();      // have allocations fail beyond what is available: better than a phone that kills

// ---- engine: what loads and runs models; a program has one
struct OperatorTime { std::string name, kind; uint64_t ns; };
class LoadedModel {  // ready to run; Failure when it turns out that it is not
public:
    virtual ~LoadedModel() = default;
    virtual void run() = 0;
    virtual uint64_t profiled_run(std::vector<OperatorTime>& operators) = 0;  // operators as executed; the whole run's ns
};
using Loader = std::function<std::unique_ptr<LoadedModel>(Model model, bool profiled)>;  // Failure INVALID_MODEL and others
extern const char *const kEngineName, *const kEngineVersion;
Loader make_loader(const Job& job, const char* library);  // Failure NO_LIBRARY: it is not there, or lacks a function
void fill_normal(float* values, size_t count);            // an input: around 0, of variance 1, the same each time

// ---- measure: one block's record after position, round and entry.  Failure; Stopped: not finished.  Warm: it ran before
Bytes measure_block(const Job& job, const PlannedBlock& block, LoadedModel& model, bool warm, const Machine& machine, uint64_t deadline_ns);

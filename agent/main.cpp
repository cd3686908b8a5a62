// pocketnas-agent measures models where they will run.
#include <fcntl.h>
#include <sys/file.h>
#include <map>
#include <sstream>
#include "agent.h"
constexpr char kAgentVersion[] = "1";
#if defined(__aarch64__)
constexpr char kTarget[] = "aarch64";
#else
constexpr char kTarget[] = "x86_64";
#endif
enum ExitCode { kAllRan = 0, kSomeFailed = 1, kRefused = 2, kTimeOver = 3, kNoStorage = 74, kStopped = 143 };
using Options = std::map<std::string, std::string>;

static bool parse(int count, char** words, Options& options) {
    if (count < 4 || strcmp(words[1], "run") != 0 || count % 2 != 0) return false;
    for (int index = 4; index < count; index += 2) {
        const auto option = options.find(words[index]);
        if (option == options.end()) return false;
        option->second = words[index + 1];
        const bool whole = !option->second.empty() && option->second.find_first_not_of("0123456789") == std::string::npos;
        if ((option->first == "--from" || option->first == "--block") && !whole) return false;
    }
    return true;
}

static uint32_t number(const std::string& text) { return static_cast<uint32_t>(std::min(strtoull(text.c_str(), nullptr, 10), 0xffffffffull)); }

static Bytes hello(const Job& job, const Machine& machine, size_t positions) {
    timespec resolution{};
    clock_getres(CLOCK_MONOTONIC_RAW, &resolution);
    std::ostringstream lines;
    lines << "schema 1\nagent " << kAgentVersion << "\nengine " << kEngineName << "\nengine_version " << kEngineVersion << "\ntarget "
          << kTarget << "\njob " << job.id << "\npid " << getpid() << "\ncores " << sysconf(_SC_NPROCESSORS_ONLN) << "\npage_size "
          << sysconf(_SC_PAGESIZE) << "\nmask " << std::hex << job.mask << std::dec << "\nthreads " << job.threads << "\nisa " << isa()
          << "\nlocked " << (lock_memory() ? "yes" : "no") << "\nzones " << machine.zones << "\nclock_ns " << resolution.tv_nsec
          << "\npositions " << positions << "\n";
    return bytes_of(lines.str());
}

static ExitCode execute(const Job& job, const Loader& load, const Machine& machine, Records& records, uint32_t first) {
    const uint64_t began_ns = raw_ns();
    const uint64_t deadline_ns = job.time_limit_s > 0 ? began_ns + static_cast<uint64_t>(job.time_limit_s * 1e9) : UINT64_MAX;
    const std::vector<Execution> executions = job.executions();
    std::map<std::pair<uint32_t, uint32_t>, std::unique_ptr<LoadedModel>> kept;  // what many blocks run: references above all
    const auto measure = [&](uint32_t entry) {
        const PlannedBlock& block = job.plan[entry];
        std::unique_ptr<LoadedModel> loaded;
        const auto same = [&block](const PlannedBlock& other) { return other.model == block.model; };
        const bool keep = entry < job.references || std::count_if(job.plan.begin(), job.plan.end(), same) > 1;
        std::unique_ptr<LoadedModel>& model = keep ? kept[{block.model, block.profiled}] : loaded;
        const bool warm = model != nullptr;
        if (!warm) limit_memory(), model = load(job.read_model(block.model), block.profiled);
        return measure_block(job, block, *model, warm, machine, deadline_ns);
    };
    records.append(kHello, hello(job, machine, executions.size()));
    ExitCode code = kAllRan;
    try {
        for (uint32_t position = first; position < executions.size(); ++position) {
            check_going(raw_ns(), deadline_ns);
            Bytes payload, rest;
            put(payload, position, executions[position]);
            FrameType type = kBlock;
            try {
                rest = measure(executions[position].entry);
            } catch (const Failure& failure) {
                type = kError, rest = bytes_of(failure.text());
            } catch (const std::bad_alloc&) {
                type = kError, rest = bytes_of("OUT_OF_MEMORY the model needs more than is available");
            }
            put_bytes(payload, rest.data(), rest.size());
            records.append(type, payload);
        }
    } catch (const Stopped& stopped) {
        code = stopped.time_over ? kTimeOver : kStopped;
    }
    Bytes payload;
    put(payload, records.blocks, records.errors, uint32_t{code == kAllRan ? 0u : code == kTimeOver ? 1u : 2u}, uint32_t{0});
    put(payload, named_kb("/proc/self/status", "VmHWM:") * 1024, raw_ns() - began_ns);
    records.append(kEnd, payload);
    return code == kAllRan && records.errors > 0 ? kSomeFailed : code;
}

static ExitCode run(const char* job_path, const char* out, const Options& options) {
    uint32_t sequence = number(options.at("--from"));
    try {
        require_isa();
        const std::string& lock_path = options.at("--lock");
        const File lock(lock_path.empty() ? -1 : open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
        if (!lock_path.empty() && flock(lock.descriptor, LOCK_EX | LOCK_NB) != 0) {
            throw Failure(errno == EWOULDBLOCK ? "BUSY" : "STORAGE", std::string("the lock cannot be taken: ") + strerror(errno));
        }
        const Job job(job_path);
        if (job.engine != kEngineName) throw Failure("BAD_JOB", "it is for " + job.engine + ", and this agent has " + kEngineName);
        pin(job.mask);  // before the engine makes threads
        const Loader load = make_loader(job, options.at("--library").c_str());
        Records records(out, sequence, job.id);
        if (records.complete) return records.errors > 0 ? kSomeFailed : kAllRan;
        const uint32_t first = std::max(records.next_position, number(options.at("--block")));
        return execute(job, load, Machine(options.at("--sysfs")), records, first);
    } catch (const Failure& failure) {
        fprintf(stderr, "pocketnas-agent: %s\n", failure.text().c_str());
        Bytes payload;
        put(payload, UINT32_MAX, Execution{});  // an error of no block
        put_text(payload, failure.text());
        tell(make_frame(sequence, kError, payload));
        return strcmp(failure.reason, "STORAGE") == 0 ? kNoStorage : kRefused;
    }
}

int main(int count, char** words) {
    if (count == 2 && strcmp(words[1], "--version") == 0) {
        printf("pocketnas-agent %s %s %s %s\n", kAgentVersion, kEngineName, kEngineVersion, kTarget);
        return kAllRan;
    }
    // --from: the first sequence that the host lacks; --block: the first execution that it wants; --sysfs: for tests
    Options options{{"--from", "0"}, {"--block", "0"}, {"--lock", ""}, {"--library", "libLiteRt.so"}, {"--sysfs", "/sys"}};
    if (!parse(count, words, options)) {
        fprintf(stderr, "use: pocketnas-agent --version\n"
                        "     pocketnas-agent run JOB OUT [--from SEQUENCE] [--block N] [--lock FILE] [--library FILE]\n");
        return kRefused;
    }
    watch_for_stop();
    return run(words[2], words[3], options);
}

// pocketnas-agent measures models where they will run.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <cerrno>
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
enum EndReason : uint32_t { kDone = 0, kTimeLimit = 1, kToldToStop = 2 };

struct Arguments {
    const char *job = nullptr, *out = nullptr, *lock = nullptr, *library = "libLiteRt.so", *sysfs = "/sys";
    uint32_t from = 0, block = 0;  // the first sequence that the host lacks, the first execution that it wants
};

static bool parse(int count, char** words, Arguments& arguments) {
    if (count < 4 || strcmp(words[1], "run") != 0 || count % 2 != 0) return false;
    arguments.job = words[2];
    arguments.out = words[3];
    for (int index = 4; index < count; index += 2) {
        const std::string option = words[index];
        const char* value = words[index + 1];
        char* end = nullptr;
        const unsigned long long number = strtoull(value, &end, 10);
        const bool whole = isdigit(static_cast<unsigned char>(*value)) && *end == 0 && number <= UINT32_MAX;
        if (option == "--lock") arguments.lock = value;
        else if (option == "--library") arguments.library = value;
        else if (option == "--sysfs") arguments.sysfs = value;
        else if (option == "--from" && whole) arguments.from = static_cast<uint32_t>(number);
        else if (option == "--block" && whole) arguments.block = static_cast<uint32_t>(number);
        else return false;
    }
    return true;
}

static void take_lock(const File& lock, const char* path) {
    if (path == nullptr) return;
    if (lock.descriptor < 0) throw Failure("STORAGE", std::string("the lock cannot be opened: ") + strerror(errno));
    if (flock(lock.descriptor, LOCK_EX | LOCK_NB) != 0) throw Failure("BUSY", "another agent measures on this device");
}

class Run {
public:
    Run(const Job& job, const Arguments& arguments, Loader load, Records& records)
        : job_(job), load_(std::move(load)), records_(records), machine_(arguments.sysfs), executions_(job.executions()) {
        if (job.time_limit_s > 0) deadline_raw_ns_ = began_raw_ns_ + static_cast<uint64_t>(job.time_limit_s * 1e9);
    }

    ExitCode execute(uint32_t first) {
        say_hello();
        EndReason reason = kDone;
        try {
            for (uint32_t position = first; position < executions_.size(); ++position) execute_block(position);
        } catch (const Stopped& stopped) {
            reason = stopped.time_over ? kTimeLimit : kToldToStop;
        }
        rusage usage{};
        getrusage(RUSAGE_SELF, &usage);
        Bytes payload;
        put(payload, records_.blocks, records_.errors, static_cast<uint32_t>(reason), uint32_t{0});
        put(payload, static_cast<uint64_t>(usage.ru_maxrss) * 1024, raw_ns() - began_raw_ns_);
        records_.append(kEnd, payload);
        return reason == kTimeLimit ? kTimeOver : reason == kToldToStop ? kStopped : records_.errors > 0 ? kSomeFailed : kAllRan;
    }

private:
    void execute_block(uint32_t position) {
        check_going(raw_ns(), deadline_raw_ns_);
        const auto [round, entry] = executions_[position];
        Bytes payload;
        put(payload, position, round, entry);
        try {
            const Bytes measured = measure(entry);
            put_bytes(payload, measured.data(), measured.size());
        } catch (const Failure& failure) {
            return records_.append(kError, error_payload(position, round, entry, failure));
        } catch (const std::bad_alloc&) {
            const Failure failure("OUT_OF_MEMORY", "the model needs more memory than is available");
            return records_.append(kError, error_payload(position, round, entry, failure));
        }
        records_.append(kBlock, payload);
    }

    Bytes measure(uint32_t entry) {
        const PlannedBlock& block = job_.plan[entry];
        std::unique_ptr<LoadedModel> loaded;
        std::unique_ptr<LoadedModel>& model = entry < job_.references ? references_[entry] : loaded;
        if (!model) {
            limit_memory();
            model = load_(job_.read_model(block.model), block.profiled);
        }
        return measure_block(job_, block, *model, machine_, deadline_raw_ns_);
    }

    void say_hello() {
        timespec resolution{};
        clock_getres(CLOCK_MONOTONIC_RAW, &resolution);
        std::ostringstream lines;
        lines << "schema 1\nagent " << kAgentVersion << "\nengine " << kEngineName << "\nengine_version " << kEngineVersion << "\ntarget "
              << kTarget << "\njob " << job_.id << "\npid " << getpid() << "\ncores " << sysconf(_SC_NPROCESSORS_ONLN) << "\npage_size "
              << sysconf(_SC_PAGESIZE) << "\nmask " << std::hex << job_.mask << std::dec << "\nthreads " << job_.threads << "\nisa " << isa()
              << "\nlocked " << (lock_memory() ? "yes" : "no") << "\nzones " << machine_.zones << "\nclock_ns " << resolution.tv_nsec
              << "\npositions " << executions_.size() << "\n";
        const std::string text = lines.str();
        records_.append(kHello, Bytes(text.begin(), text.end()));
    }

    const Job& job_;
    const Loader load_;
    Records& records_;
    const Machine machine_;
    const std::vector<Execution> executions_;
    const uint64_t began_raw_ns_ = raw_ns();
    uint64_t deadline_raw_ns_ = UINT64_MAX;
    std::map<uint32_t, std::unique_ptr<LoadedModel>> references_;  // they stay loaded
};

static ExitCode run(const Arguments& arguments) {
    uint32_t sequence = arguments.from;
    try {
        require_isa();
        const File lock(arguments.lock == nullptr ? -1 : open(arguments.lock, O_RDWR | O_CREAT | O_CLOEXEC, 0644));
        take_lock(lock, arguments.lock);
        const Job job(arguments.job);
        if (job.engine != kEngineName) throw Failure("BAD_JOB", "it is for " + job.engine + ", and this agent has " + kEngineName);
        pin(job.mask);  // before the engine makes threads
        Loader load = make_loader(job, arguments.library);
        Records records(arguments.out, sequence, job.id);
        if (records.complete) return records.errors > 0 ? kSomeFailed : kAllRan;
        return Run(job, arguments, std::move(load), records).execute(std::max(records.next_position, arguments.block));
    } catch (const Failure& failure) {
        fprintf(stderr, "pocketnas-agent: %s: %s\n", failure.reason, failure.what());
        tell(make_frame(sequence, kError, error_payload(kWholeJob, 0, 0, failure)));
        return strcmp(failure.reason, "STORAGE") == 0 ? kNoStorage : kRefused;
    }
}

int main(int count, char** words) {
    Arguments arguments;
    if (count == 2 && strcmp(words[1], "--version") == 0) {
        printf("pocketnas-agent %s %s %s %s\n", kAgentVersion, kEngineName, kEngineVersion, kTarget);
        return kAllRan;
    }
    if (!parse(count, words, arguments)) {
        fprintf(stderr, "use: pocketnas-agent --version\n"
                        "     pocketnas-agent run JOB OUT [--from SEQUENCE] [--block N] [--lock PATH] [--library PATH]\n");
        return kRefused;
    }
    watch_for_stop();
    return run(arguments);
}

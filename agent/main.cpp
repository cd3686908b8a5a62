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
constexpr uint32_t kWholeJob = 0xffffffff;  // the position of errors that are no block's
enum ExitCode { kAllRan = 0, kSomeFailed = 1, kRefused = 2, kTimeOver = 3, kNoStorage = 74, kStopped = 143 };
enum EndReason : uint32_t { kDone = 0, kTimeLimit = 1, kToldToStop = 2 };

struct Arguments {
    const char *job = "", *out = "", *lock = nullptr, *library = "libLiteRt.so", *sysfs = "/sys";
    const char *from = "0", *block = "0";  // the first sequence that the host lacks, the first execution that it wants
};

static bool parse(int count, char** words, Arguments& arguments) {
    const std::map<std::string, const char**> options{{"--from", &arguments.from}, {"--block", &arguments.block}, {"--lock", &arguments.lock},
                                                      {"--library", &arguments.library}, {"--sysfs", &arguments.sysfs}};
    if (count < 4 || strcmp(words[1], "run") != 0 || count % 2 != 0) return false;
    arguments.job = words[2], arguments.out = words[3];
    for (int index = 4; index < count; index += 2) {
        const auto option = options.find(words[index]);
        if (option == options.end()) return false;
        *option->second = words[index + 1];
    }
    const auto whole = [](const std::string& text) { return text.find_first_not_of("0123456789") == text.npos && text.size() - 1 < 10; };
    return whole(arguments.from) && whole(arguments.block);
}

static uint32_t number(const char* text) { return static_cast<uint32_t>(std::min(strtoull(text, nullptr, 10), 0xffffffffull)); }

class Run {
public:
    Run(const Job& job, const Arguments& arguments, Loader load, Records& records)
        : job_(job), load_(std::move(load)), records_(records), machine_(arguments.sysfs), references_(job.references) {
        if (job.time_limit_s > 0) deadline_raw_ns_ = began_raw_ns_ + static_cast<uint64_t>(job.time_limit_s * 1e9);
    }

    ExitCode execute(uint32_t first) {
        const std::vector<Execution> executions = job_.executions();
        say_hello(executions.size());
        EndReason reason = kDone;
        try {
            for (uint32_t position = first; position < executions.size(); ++position) execute_one(position, executions[position]);
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
    void execute_one(uint32_t position, const Execution& execution) {
        check_going(raw_ns(), deadline_raw_ns_);
        Bytes payload, measured;
        put(payload, position, execution.round, execution.entry);
        try {
            measured = measure(execution.entry);
        } catch (const Failure& failure) {
            put_text(payload, failure.text());
        } catch (const std::bad_alloc&) {
            put_text(payload, "OUT_OF_MEMORY the model needs more than is available");
        }
        put_bytes(payload, measured.data(), measured.size());
        records_.append(measured.empty() ? kError : kBlock, payload);
    }

    Bytes measure(uint32_t entry) {
        const PlannedBlock& block = job_.plan[entry];
        std::unique_ptr<LoadedModel> loaded;
        std::unique_ptr<LoadedModel>& model = entry < references_.size() ? references_[entry] : loaded;
        if (!model) {
            limit_memory();
            model = load_(job_.read_model(block.model), block.profiled);
        }
        return measure_block(job_, block, *model, machine_, deadline_raw_ns_);
    }

    void say_hello(size_t positions) {
        timespec resolution{};
        clock_getres(CLOCK_MONOTONIC_RAW, &resolution);
        std::ostringstream lines;
        lines << "schema 1\nagent " << kAgentVersion << "\nengine " << kEngineName << "\nengine_version " << kEngineVersion << "\ntarget "
              << kTarget << "\njob " << job_.id << "\npid " << getpid() << "\ncores " << sysconf(_SC_NPROCESSORS_ONLN) << "\npage_size "
              << sysconf(_SC_PAGESIZE) << "\nmask " << std::hex << job_.mask << std::dec << "\nthreads " << job_.threads << "\nisa "
              << isa() << "\nlocked " << (lock_memory() ? "yes" : "no") << "\nzones " << machine_.zones << "\nclock_ns "
              << resolution.tv_nsec << "\npositions " << positions << "\n";
        Bytes payload;
        put_text(payload, lines.str());
        records_.append(kHello, payload);
    }

    const Job& job_;
    const Loader load_;
    Records& records_;
    const Machine machine_;
    std::vector<std::unique_ptr<LoadedModel>> references_;  // they stay loaded
    const uint64_t began_raw_ns_ = raw_ns();
    uint64_t deadline_raw_ns_ = UINT64_MAX;
};

static ExitCode run(const Arguments& arguments) {
    uint32_t sequence = number(arguments.from);
    try {
        require_isa();
        const File lock(arguments.lock == nullptr ? -1 : open(arguments.lock, O_RDWR | O_CREAT | O_CLOEXEC, 0644));
        if (arguments.lock != nullptr && flock(lock.descriptor, LOCK_EX | LOCK_NB) != 0) {
            throw Failure(errno == EWOULDBLOCK ? "BUSY" : "STORAGE", std::string("the lock cannot be taken: ") + strerror(errno));
        }
        const Job job(arguments.job);
        if (job.engine != kEngineName) throw Failure("BAD_JOB", "it is for " + job.engine + ", and this agent has " + kEngineName);
        pin(job.mask);  // before the engine makes threads
        Loader load = make_loader(job, arguments.library);
        Records records(arguments.out, sequence, job.id);
        if (records.complete) return records.errors > 0 ? kSomeFailed : kAllRan;
        return Run(job, arguments, std::move(load), records).execute(std::max(records.next_position, number(arguments.block)));
    } catch (const Failure& failure) {
        fprintf(stderr, "pocketnas-agent: %s\n", failure.text().c_str());
        Bytes payload;
        put(payload, kWholeJob, uint32_t{0}, uint32_t{0});
        put_text(payload, failure.text());
        tell(make_frame(sequence, kError, payload));
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
                        "     pocketnas-agent run JOB OUT [--from SEQUENCE] [--block N] [--lock FILE] [--library FILE]\n");
        return kRefused;
    }
    watch_for_stop();
    return run(arguments);
}

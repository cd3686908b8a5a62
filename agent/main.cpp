// pocketnas-agent: measures models where they will run.  agent/README.md says how it is used and what it writes.
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <sys/file.h>

#include "measure.h"
#include "records.h"
#include "schedule.h"
#include "stop.h"

namespace {

constexpr char kAgentVersion[] = "1";
enum ExitCode { kAllRan = 0, kSomeFailed = 1, kRefused = 2, kTimeOver = 3, kNoStorage = 74, kStopped = 143 };
enum EndReason : uint32_t { kDone = 0, kTimeLimit = 1, kToldToStop = 2 };

struct Arguments {
    const char* job;
    const char* out;
    const char* lock = nullptr;
    const char* library = "libLiteRt.so";
    const char* sysfs = "/sys";
    uint32_t from = 0;
    int64_t block = -1;  // the execution to go on with; -1: the first without a record
};

bool parse(int count, char** words, Arguments& arguments) {
    if (count < 4 || std::string(words[1]) != "run" || count % 2 != 0) return false;
    arguments.job = words[2];
    arguments.out = words[3];
    for (int index = 4; index < count; index += 2) {
        const std::string option = words[index];
        const char* value = words[index + 1];
        char* end = nullptr;
        const bool numeric = option == "--from" || option == "--block";
        const unsigned long long number = numeric ? strtoull(value, &end, 10) : 0;
        if (numeric && (end == value || *end != 0 || *value == '-' || number > UINT32_MAX)) return false;
        if (option == "--from") arguments.from = static_cast<uint32_t>(number);
        else if (option == "--block") arguments.block = static_cast<int64_t>(number);
        else if (option == "--lock") arguments.lock = value;
        else if (option == "--library") arguments.library = value;
        else if (option == "--sysfs") arguments.sysfs = value;
        else return false;
    }
    return true;
}

// Held until the program ends.
File take_lock(const char* path) {
    if (path == nullptr) return File();
    File lock(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    if (lock.get() < 0) throw Failure("STORAGE", std::string("the lock cannot be opened: ") + strerror(errno));
    if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) throw Failure("BUSY", "another agent measures on this device");
    return lock;
}

class Run {
public:
    Run(const Job& job, const Arguments& arguments, Records& records, Engine& engine, bool locked)
        : job_(job), arguments_(arguments), records_(records), engine_(engine), schedule_(job), machine_(arguments.sysfs),
          began_ns_(raw_ns()), locked_(locked) {
        if (job.time_limit_s > 0) deadline_.raw_ns = began_ns_ + static_cast<uint64_t>(job.time_limit_s * 1e9);
    }

    ExitCode execute() {
        hello();
        const uint32_t first = arguments_.block >= 0 ? static_cast<uint32_t>(arguments_.block) : records_.next_position();
        EndReason reason = kDone;
        try {
            for (uint32_t position = first; position < schedule_.size(); ++position) {
                if (stop_requested()) throw Stopped{false};
                if (raw_ns() >= deadline_.raw_ns) throw Stopped{true};
                execute(position);
            }
        } catch (const Stopped& stopped) {
            reason = stopped.time_over ? kTimeLimit : kToldToStop;
        }
        end(reason);
        if (reason != kDone) return reason == kTimeLimit ? kTimeOver : kStopped;
        return records_.errors() > 0 ? kSomeFailed : kAllRan;
    }

private:
    void execute(uint32_t position) {
        const Execution execution = schedule_.at(position);
        try {
            Bytes payload;
            put<uint32_t>(payload, position);
            put<uint32_t>(payload, execution.round);
            put<uint32_t>(payload, execution.entry);
            const Bytes measured = measure(execution.entry);
            payload.insert(payload.end(), measured.begin(), measured.end());
            records_.append(kBlock, payload);
        } catch (const Failure& failure) {
            fail(position, execution, failure.reason, failure.what());
        } catch (const std::bad_alloc&) {
            fail(position, execution, "OUT_OF_MEMORY", "the model needs more memory than is available");
        }
    }

    void fail(uint32_t position, const Execution& execution, const char* reason, const std::string& detail) {
        records_.append(kError, error_payload(position, execution.round, execution.entry, reason, detail));
    }

    Bytes measure(uint32_t entry) {
        const PlannedBlock& block = job_.plan[entry];
        std::unique_ptr<LoadedModel> loaded;
        std::unique_ptr<LoadedModel>& model = entry < job_.references ? references_[entry] : loaded;
        if (!model) {
            limit_memory();
            model = engine_.load(job_.read_model(block.model), block.profiled());
        }
        const uint64_t cooled_ns = machine_.cool_down(job_);
        return measure_block(job_, block, *model, machine_, cooled_ns, deadline_);
    }

    void hello() {
        char mask[32];
        snprintf(mask, sizeof mask, "%llx", static_cast<unsigned long long>(job_.mask));
        timespec resolution{};
        clock_getres(CLOCK_MONOTONIC_RAW, &resolution);
        const auto line = [](const char* key, const std::string& value) { return std::string(key) + " " + value + "\n"; };
        Bytes payload;
        put_text(payload, line("schema", "1") + line("agent", kAgentVersion) + line("engine", kEngineName) +
                              line("engine_version", kEngineVersion) + line("target", POCKETNAS_TARGET) +
                              line("job", std::to_string(job_.id)) + line("pid", std::to_string(getpid())) +
                              line("cores", std::to_string(online_cores())) +
                              line("page_size", std::to_string(sysconf(_SC_PAGESIZE))) + line("mask", mask) +
                              line("threads", std::to_string(job_.threads)) + line("isa", isa()) +
                              line("locked", locked_ ? "yes" : "no") + line("zones", machine_.zones()) +
                              line("clock_ns", std::to_string(resolution.tv_nsec)) +
                              line("positions", std::to_string(schedule_.size())));
        records_.append(kHello, payload);
    }

    void end(EndReason reason) {
        Bytes payload;
        put<uint32_t>(payload, records_.blocks());
        put<uint32_t>(payload, records_.errors());
        put<uint32_t>(payload, reason);
        put<uint32_t>(payload, 0);
        put<uint64_t>(payload, peak_rss_bytes());
        put<uint64_t>(payload, raw_ns() - began_ns_);
        records_.append(kEnd, payload);
    }

    const Job& job_;
    const Arguments& arguments_;
    Records& records_;
    Engine& engine_;
    Schedule schedule_;
    Machine machine_;
    uint64_t began_ns_;
    bool locked_;
    Deadline deadline_{UINT64_MAX};
    std::map<uint32_t, std::unique_ptr<LoadedModel>> references_;
};

ExitCode run(const Arguments& arguments) {
    try {
        require_isa();
        const File lock = take_lock(arguments.lock);
        const Job job(arguments.job);
        if (job.engine != kEngineName) throw Failure("BAD_JOB", "the job is for " + job.engine + ", not " + kEngineName);
        pin(job.mask);
        const std::unique_ptr<Engine> engine = make_engine(job, arguments.library);
        Records records(arguments.out, arguments.from, job.id);
        if (records.complete()) return records.errors() > 0 ? kSomeFailed : kAllRan;
        return Run(job, arguments, records, *engine, lock_memory()).execute();
    } catch (const StorageFull& full) {
        fprintf(stderr, "pocketnas-agent: records cannot be written: %s\n", full.why.c_str());
        return kNoStorage;
    } catch (const Failure& failure) {
        fprintf(stderr, "pocketnas-agent: %s: %s\n", failure.reason, failure.what());
        write_stream(make_frame(arguments.from, kError, error_payload(kWholeJob, 0, 0, failure.reason, failure.what())));
        return std::string(failure.reason) == "STORAGE" ? kNoStorage : kRefused;
    }
}

}  // namespace

int main(int count, char** words) {
    if (count == 2 && std::string(words[1]) == "--version") {
        printf("pocketnas-agent %s %s %s %s\n", kAgentVersion, kEngineName, kEngineVersion, POCKETNAS_TARGET);
        return kAllRan;
    }
    Arguments arguments{};
    if (!parse(count, words, arguments)) {
        fprintf(stderr, "use: pocketnas-agent --version\n"
                        "     pocketnas-agent run JOB OUT [--from SEQUENCE] [--block N] [--lock PATH] [--library PATH]\n");
        return kRefused;
    }
    watch_for_stop();
    return run(arguments);
}

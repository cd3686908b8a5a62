// One block: a model warmed up and timed run by run, with what the machine was like meanwhile.
#pragma once

#include "engine.h"
#include "machine.h"

struct Deadline {
    uint64_t raw_ns;  // UINT64_MAX where there is none
};

// Warm the model up and time it.  Returns the record's fields after position, round and entry.
// Throws Failure, and Stopped between runs: a block that was not finished has no record.
Bytes measure_block(const Job& job, const PlannedBlock& block, LoadedModel& model, const Machine& machine, uint64_t cooled_ns,
                    Deadline deadline);

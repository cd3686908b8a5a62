// Being told to stop: SIGTERM and its like, or a parent or reader that is gone.
#pragma once

// Thrown between runs once the program has been told to stop, and when the job's time is over.
struct Stopped {
    bool time_over;
};

// Watch from now on.  Where a run is too long to end by itself, the process exits with 143 within a second.
void watch_for_stop();
bool stop_requested();
void request_stop();

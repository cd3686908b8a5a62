# Settings of ncnn's own build, read by `cmake -C`: what the agent's engine has and what it goes without.
# Needs NCNN_SOURCE, the folder of ncnn's source.

function(setting name value)
    set(${name} ${value} CACHE STRING "" FORCE)
endfunction()

setting(CMAKE_BUILD_TYPE Release)
setting(NCNN_SHARED_LIB OFF)

# Threads without a library of their own.
setting(NCNN_OPENMP ON)
setting(NCNN_SIMPLEOMP ON)
setting(NCNN_THREADS ON)

# Errors are caught, and become records.
setting(NCNN_DISABLE_RTTI OFF)
setting(NCNN_DISABLE_EXCEPTION OFF)

setting(NCNN_INT8 ON)
foreach(name VULKAN BUILD_TOOLS BUILD_EXAMPLES BUILD_BENCHMARK BUILD_TESTS PYTHON C_API PLATFORM_API PIXEL PIXEL_ROTATE
        PIXEL_AFFINE PIXEL_DRAWING SIMPLEOCV BENCHMARK WEIGHT_QUANT BF16)
    setting(NCNN_${name} OFF)
endforeach()

# Kernels are chosen on the device by what its cores can do.  Left out is what no kernel of ours runs on: bfloat16, and
# extensions of x86 that its makers gave up.  NCNN_ARM84BF16 stays, for ncnn ties SVE to it.
setting(NCNN_RUNTIME_CPU ON)
foreach(name ARM86SVEBF16 AVX512BF16 AVX512FP16 AVXNECONVERT XOP FMA4)
    setting(NCNN_${name} OFF)
endforeach()

file(STRINGS ${CMAKE_CURRENT_LIST_DIR}/layers.txt wanted REGEX "^[A-Z]")
file(STRINGS ${NCNN_SOURCE}/src/CMakeLists.txt added REGEX "^ncnn_add_layer\\(")
foreach(line IN LISTS added)
    string(REGEX REPLACE "^ncnn_add_layer\\(([A-Za-z0-9]+).*" "\\1" layer "${line}")
    list(FIND wanted ${layer} place)
    list(REMOVE_ITEM wanted ${layer})
    string(TOLOWER ${layer} name)
    if(place EQUAL -1)
        setting(WITH_LAYER_${name} OFF)
    else()
        setting(WITH_LAYER_${name} ON)
    endif()
endforeach()
if(wanted)
    message(FATAL_ERROR "ncnn has no layers ${wanted}, which layers.txt names")
endif()

// Android's system properties for an adbd outside Android: lines of `name=value` in the file that the environment
// variable ADBD_PROPERTIES names.  It takes the place of libbase's function, which knows none but on a phone.

#include <cstdlib>
#include <fstream>
#include <string>
#include <unordered_map>

#include <android-base/properties.h>

namespace {

using Properties = std::unordered_map<std::string, std::string>;

Properties ReadProperties(const char* path) {
    Properties properties;
    if (path == nullptr) {
        return properties;
    }
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
        const size_t equals = line.find('=');
        if (equals != std::string::npos) {
            properties.emplace(line.substr(0, equals), line.substr(equals + 1));
        }
    }
    return properties;
}

}  // namespace

std::string android::base::GetProperty(const std::string& key, const std::string& default_value) {
    // Never freed: threads of adbd still ask while the process ends.
    static const Properties& properties = *new Properties(ReadProperties(std::getenv("ADBD_PROPERTIES")));
    const auto found = properties.find(key);
    return found == properties.end() || found->second.empty() ? default_value : found->second;
}

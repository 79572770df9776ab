# Sourced by tools/demo and tools/test: makes sure that some Vulkan driver is installed.

ensure_vulkan_driver() {
    [ "$(uname -s)" = Linux ] || return 0          # Metal and DX12 come with the system
    local dir
    for dir in /usr/share/vulkan/icd.d /usr/local/share/vulkan/icd.d /etc/vulkan/icd.d; do
        if compgen -G "$dir/*.json" >/dev/null; then return 0; fi
    done
    if [ -n "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ]; then return 0; fi
    if ! command -v apt-get >/dev/null; then
        echo "No Vulkan driver was found. Install your GPU's driver, or Mesa's software one:" >&2
        echo "  Fedora: sudo dnf install mesa-vulkan-drivers" >&2
        return 1
    fi
    echo "No Vulkan driver was found: installing Mesa's (mesa-vulkan-drivers)." >&2
    local sudo=""
    [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq mesa-vulkan-drivers libvulkan1 >/dev/null
}

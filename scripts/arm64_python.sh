#!/bin/sh
# A Python of ARM64 with NumPy and ONNX Runtime, to be run by qemu-aarch64: arm64_python.sh FOLDER, then FOLDER/python.
# Debian's packages are unpacked below FOLDER; nothing is installed. ONNX Runtime 1.32 crashes under emulation.
set -eu
for tool in qemu-aarch64 apt-get dpkg-deb pip3; do
    command -v "$tool" >/dev/null || { echo "$tool is missing; on Debian: apt install qemu-user python3-pip" >&2; exit 2; }
done
mkdir -p "$1"
cd "$1"
[ -x python ] && exit 0
mkdir -p state/lists/partial cache/archives/partial debs root wheels
: >state/status
APT="-q -o Dir::State=$PWD/state -o Dir::State::status=$PWD/state/status -o Dir::Cache=$PWD/cache
 -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User=root"
apt-get $APT update
(cd debs && apt-get $APT download python3.11-minimal libpython3.11-minimal libpython3.11-stdlib libc6 libgcc-s1 \
    libstdc++6 zlib1g libexpat1 libffi8 libssl3 libbz2-1.0 liblzma5 libuuid1)
for package in debs/*.deb; do dpkg-deb -x "$package" root; done
pip3 download --quiet --no-deps --only-binary=:all: --python-version 3.11 --platform manylinux2014_aarch64 \
    --platform manylinux_2_27_aarch64 --platform manylinux_2_28_aarch64 -d wheels numpy==2.2.6 onnxruntime==1.27.0
for wheel in wheels/*.whl; do python3 -m zipfile -e "$wheel" site; done
cat >python <<END
#!/bin/sh
PYTHONPATH=$PWD/site exec qemu-aarch64 -cpu max -L $PWD/root $PWD/root/usr/bin/python3.11 "\$@"
END
chmod +x python

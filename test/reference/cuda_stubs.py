"""Lets PyPI's torch for Linux x86_64 (a CUDA build) be imported where NVIDIA's libraries are not installed.

Usage: python cuda_stubs.py SITE_PACKAGES

torch's own shared libraries name cuBLAS, cuDNN, NCCL and others as needed: gigabytes that a CPU-only machine never
calls. The dynamic linker only asks that a library of that name exists and has the symbols that its users name.
So for each library that is named and not installed this writes a stub beside torch's, in which every such symbol
exists and stops the program when it is called. The small CUDA runtime and CUPTI must be the real ones: torch_cuda
registers its kernels with them while it loads.

Needs gcc and readelf. Running it again changes nothing.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

NVIDIA_LIBRARY = re.compile(r'\(NEEDED\).*\[(lib(?:cu|nv|nccl)[^\]]*)\]')
# The driver's own library is opened only once a GPU was found; a stub would stand in the way of a real one.
DRIVER = 'libcuda.so.1'
NVIDIA_SYMBOL = re.compile(r'(?:cu|nv|nccl)\w+')
VERSION_BLOCK = re.compile(r'File: (\S+)\s+Cnt: \d+\n((?:\s+\S+:\s+Name:.*\n)*)')


def read_elf(library: Path) -> str:
    """The dynamic section, version needs and dynamic symbols of one shared library, as readelf prints them."""
    command = ['readelf', '-dVW', '--dyn-syms', str(library)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def symbols_of(text: str) -> tuple[set[str], set[str]]:
    """The names that a library defines and those it wants from others, wanted ones as name or name@version."""
    rows = [line.split() for line in text.splitlines() if re.match(r'\s+\d+: [0-9a-f]{16}', line)]
    named = [(row[6], row[7]) for row in rows if len(row) > 7]
    return (
        {name.split('@')[0] for section, name in named if section != 'UND'},
        {name for section, name in named if section == 'UND'},
    )


def stubs_needed(site_packages: Path) -> dict[str, dict[str, set[str]]]:
    """For each needed and absent library: its version names and the symbols wanted under each ('': none)."""
    torch_lib = site_packages / 'torch' / 'lib'
    texts = [
        read_elf(path) for path in sorted(torch_lib.glob('lib*torch*.so')) + sorted(torch_lib.glob('libc*.so'))
    ]
    present = {path.name for path in [*torch_lib.iterdir(), *site_packages.glob('nvidia/*/lib/*')]}
    needed = {name for text in texts for name in NVIDIA_LIBRARY.findall(text)} - present - {DRIVER}
    versions_of = {
        file: re.findall(r'Name: (\S+)', block) for text in texts for file, block in VERSION_BLOCK.findall(text)
    }
    stubs = {name: {version: set() for version in versions_of.get(name, [''])} for name in sorted(needed)}
    owner = {version: name for name, versions in stubs.items() for version in versions if version != ''}
    unversioned = [name for name, versions in stubs.items() if '' in versions]
    parts = [symbols_of(text) for text in texts]
    defined = set().union(*(part[0] for part in parts))
    for symbol in set().union(*(part[1] for part in parts)):
        name, _, version = symbol.partition('@')
        if version in owner:
            stubs[owner[version]][version].add(name)
        elif version == '' and name not in defined and NVIDIA_SYMBOL.fullmatch(name):
            for (
                library
            ) in unversioned:  # Which of them owns it is not written anywhere; the first one loaded serves.
                stubs[library][''].add(name)
    return stubs


def write_stub(path: Path, versions: dict[str, set[str]]) -> None:
    """Compiles one shared library with the given version names, whose functions all trap."""
    symbols = sorted(set().union(*versions.values()))
    with tempfile.TemporaryDirectory() as folder:
        source, script = Path(folder) / 'stub.c', Path(folder) / 'stub.map'
        source.write_text(''.join(f'void {symbol}(void) {{ __builtin_trap(); }}\n' for symbol in symbols))
        script.write_text(
            ''.join(
                f'{version} {{ {"".join(f"{s}; " for s in sorted(names))} }};\n'
                for version, names in versions.items()
                if version != ''
            )
        )
        command = [
            'gcc',
            '-w',
            '-shared',
            '-nostdlib',
            '-fPIC',
            f'-Wl,-soname,{path.name}',
            str(source),
            '-o',
            str(path),
        ]
        subprocess.run(command + ([f'-Wl,--version-script={script}'] if '' not in versions else []), check=True)


def main() -> None:
    site_packages = Path(sys.argv[1])
    for name, versions in stubs_needed(site_packages).items():
        write_stub(site_packages / 'torch' / 'lib' / name, versions)
        print(f'stub: {name}, {sum(map(len, versions.values()))} symbols')


if __name__ == '__main__':
    main()

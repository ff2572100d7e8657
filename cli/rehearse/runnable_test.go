package rehearse

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

// elfFor is the beginning of a program for Linux: its header, and where there is an interpreter, that.
func elfFor(machine elf.Machine, interpreter string) []byte {
	var b bytes.Buffer
	header := elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1}, Type: uint16(elf.ET_EXEC), Machine: uint16(machine), Version: 1, Ehsize: 64,
		Phentsize: 56, Shentsize: 64,
	}
	if interpreter != "" {
		header.Phoff, header.Phnum = 64, 1
	}
	_ = binary.Write(&b, binary.LittleEndian, header) // into memory
	if interpreter != "" {
		path := interpreter + "\x00"
		_ = binary.Write(&b, binary.LittleEndian, elf.Prog64{Type: uint32(elf.PT_INTERP), Off: 120, Filesz: uint64(len(path)), Memsz: uint64(len(path))})
		b.WriteString(path)
	}
	return b.Bytes()
}

// vmFor is the beginning of a program for a computer.
func vmFor(c computer) []byte {
	arch := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[c.arch]
	if c.os == "linux" {
		return elfFor(arch, "")
	}
	cpu := map[string]uint32{"amd64": 0x01000007, "arm64": 0x0100000c}[c.arch]
	var b bytes.Buffer
	_ = binary.Write(&b, binary.LittleEndian, []uint32{0xfeedfacf, cpu, 0, 2, 0, 0, 0, 0})
	return b.Bytes()
}

func TestWhatAVMWasBuiltFor(t *testing.T) {
	for want, body := range map[computer][]byte{
		{"linux", "amd64"}: elfFor(elf.EM_X86_64, "/lib64/ld-linux-x86-64.so.2"), {"linux", "arm64"}: elfFor(elf.EM_AARCH64, ""), {"linux", "riscv64"}: elfFor(elf.EM_RISCV, ""),
		{"darwin", "arm64"}: vmFor(computer{"darwin", "arm64"}), {"darwin", "amd64"}: vmFor(computer{"darwin", "amd64"}),
	} {
		name := filepath.Join(t.TempDir(), "beam.smp")
		if err := os.WriteFile(name, body, 0o600); err != nil {
			t.Fatal(err)
		}
		got, interpreter, err := builtFor(name)
		if err != nil || got != want {
			t.Errorf("%s: %s, %v", want, got, err)
		}
		if want == (computer{"linux", "amd64"}) && interpreter != "/lib64/ld-linux-x86-64.so.2" {
			t.Errorf("its interpreter is %q", interpreter)
		}
	}
}

// A release that cannot run here is refused before anything starts, by what its own VM says.
func TestAReleaseThatCannotRunHere(t *testing.T) {
	other := elf.EM_S390
	for name, test := range map[string]struct {
		vm    []byte
		name  string
		words []string
	}{
		"another processor": {elfFor(other, ""), "cannot_run_here", []string{"linux/s390x", thisComputer.String(), "CI runner"}},
		"no program":        {[]byte("#!/bin/sh\nexec beam\n"), "no_release", []string{"neither a program for Linux"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := source{write(t, t.TempDir(), aRelease(test.vm)), folder}.open(t.Context(), Options{Root: "/app"}, "", nil)
			problemOf(t, err, test.name, test.words...)
		})
	}
}

// One that was built with another system's library is refused as well.
func TestAReleaseOfAlpine(t *testing.T) {
	if thisComputer.os != "linux" {
		t.Skip("programs for Linux run on Linux alone")
	}
	machine := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[thisComputer.arch]
	missing := filepath.Join(t.TempDir(), "ld-musl-x86_64.so.1")
	_, err := source{write(t, t.TempDir(), aRelease(elfFor(machine, missing))), folder}.open(t.Context(), Options{Root: "/app"}, "", nil)
	problemOf(t, err, "cannot_run_here", missing, "Alpine")
}

// Without a VM of its own it takes this computer's, if there is one.
func TestAReleaseWithoutAVM(t *testing.T) {
	files := aRelease(nil)
	delete(files, "erts-14.2/bin/beam.smp")
	s := source{write(t, t.TempDir(), files), folder}
	says := func(version string) string {
		return "#!/bin/sh\n[ \"$1\" = +V ] && echo 'Erlang (SMP,ASYNC_THREADS) (BEAM) emulator version " + version + "' >&2\n"
	}
	t.Setenv("PATH", write(t, t.TempDir(), map[string]string{"erl": says("15.2")}))
	_, err := s.open(t.Context(), Options{Root: "/app"}, "", nil)
	problemOf(t, err, "cannot_run_here", "needs version 14.2, where this computer has 15.2", "include_erts")
	t.Setenv("PATH", write(t, t.TempDir(), map[string]string{"erl": says("14.2")}))
	if _, err := s.open(t.Context(), Options{Root: "/app"}, "", nil); err != nil {
		t.Error(err)
	}
	t.Setenv("PATH", t.TempDir())
	_, err = s.open(t.Context(), Options{Root: "/app"}, "", nil)
	problemOf(t, err, "cannot_run_here", "include_erts")
	write(t, s.given, map[string]string{"releases/1.2.3/elixir": `ERTS_BIN="$SCRIPT_PATH"/../../erts-14.2/bin/` + "\n"})
	_, err = s.open(t.Context(), Options{Root: "/app"}, "", nil)
	problemOf(t, err, "no_release", "is not whole", "erts-14.2")
}

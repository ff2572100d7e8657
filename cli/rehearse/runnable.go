package rehearse

import (
	"debug/elf"
	"debug/macho"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"flydeploy/engine"
	"flydeploy/text"
)

// computer is what a release must have been built for to run on it.
type computer struct{ os, arch string }

// String is as Go and Docker name it.
func (c computer) String() string { return c.os + "/" + c.arch }

var thisComputer = computer{runtime.GOOS, runtime.GOARCH}

// runsHere fails where the release cannot run on this computer: by the header of its Erlang VM, which tells what that was built for. One without
// a VM of its own runs in the one that this computer has.
func (r release) runsHere() error {
	found, err := filepath.Glob(filepath.Join(r.dir, "erts-*", "bin", "beam.smp"))
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return r.runsInOurs()
	}
	built, interpreter, err := builtFor(found[0])
	if err != nil {
		return engine.NewProblem("no_release", "read the Erlang VM of "+text.Line(r.given), reason(err), makeOne)
	}
	if built != thisComputer {
		return engine.NewProblem("cannot_run_here", fmt.Sprintf("%s cannot run here: its Erlang VM was built for %s, and this computer is %s", text.Line(r.given), built, thisComputer), nil,
			fmt.Sprintf("Rehearse on a computer that is %s, such as a CI runner, or build the release for %s.", built, thisComputer))
	}
	if interpreter == "" {
		return nil
	}
	if _, err := os.Stat(interpreter); err != nil {
		return engine.NewProblem("cannot_run_here", fmt.Sprintf("%s cannot run here: its Erlang VM needs %s, which this computer does not have%s", text.Line(r.given), text.Line(interpreter), libcOf(interpreter)), nil,
			"Rehearse in a container or on a computer with the system that the image has, or build the release on this one's.")
	}
	return nil
}

// runsInOurs fails where a release without an Erlang VM of its own does not run in this computer's: it boots with that version's libraries.
func (r release) runsInOurs() error {
	script, err := os.ReadFile(filepath.Join(r.dir, "releases", r.version, "elixir"))
	if err == nil && strings.Contains(string(script), "/erts-"+r.erts+"/") {
		return engine.NewProblem("no_release", text.Line(r.given)+" is not whole: it starts an Erlang VM in erts-"+text.Line(r.erts)+", which is not there", nil, makeOne)
	}
	const remedy = "Install Erlang/OTP of the release's version, or leave include_erts out of mix.exs."
	erl, err := exec.LookPath("erl")
	if err != nil {
		return engine.NewProblem("cannot_run_here", text.Line(r.given)+" has no Erlang VM of its own (include_erts: false), and this computer has none", nil, remedy)
	}
	says, err := exec.Command(erl, "+V").CombinedOutput() // it starts no VM
	if ours := emulator.FindStringSubmatch(string(says)); err == nil && ours != nil && ours[1] != r.erts {
		return engine.NewProblem("cannot_run_here", fmt.Sprintf("%s has no Erlang VM of its own (include_erts: false), and needs version %s, where this computer has %s", text.Line(r.given), text.Line(r.erts), ours[1]), nil, remedy)
	}
	return nil
}

// emulator finds the version of the VM in what `erl +V` says.
var emulator = regexp.MustCompile(`emulator version (\S+)`)

// libcOf names the system's library that an interpreter belongs to.
func libcOf(interpreter string) string {
	if strings.Contains(interpreter, "ld-musl") {
		return ": it was built with musl, as on Alpine Linux"
	}
	return ""
}

var errNoProgram = errors.New("beam.smp is neither a program for Linux nor one for macOS")

// builtFor reads what a program was built for, and which dynamic linker starts it, "" for none.
func builtFor(name string) (c computer, interpreter string, err error) {
	file, err := os.Open(name)
	if err != nil {
		return computer{}, "", err
	}
	defer file.Close()
	if f, err := elf.NewFile(file); err == nil {
		return computer{"linux", elfArch(f)}, interpreterOf(f), nil
	}
	if f, err := macho.NewFile(file); err == nil {
		return computer{"darwin", machoArch(f.Cpu)}, "", nil
	}
	return computer{}, "", errNoProgram
}

func interpreterOf(f *elf.File) string {
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			body, err := io.ReadAll(io.LimitReader(p.Open(), 4096))
			if err == nil {
				return strings.TrimRight(string(body), "\x00")
			}
		}
	}
	return ""
}

// elfArch is the processor as Go names it, or as ELF does.
func elfArch(f *elf.File) string {
	switch f.Machine {
	case elf.EM_X86_64:
		return "amd64"
	case elf.EM_AARCH64:
		return "arm64"
	case elf.EM_386:
		return "386"
	case elf.EM_ARM:
		return "arm"
	case elf.EM_RISCV:
		return "riscv64"
	case elf.EM_PPC64:
		if f.ByteOrder.String() == "LittleEndian" {
			return "ppc64le"
		}
		return "ppc64"
	case elf.EM_S390:
		return "s390x"
	}
	return f.Machine.String()
}

func machoArch(cpu macho.Cpu) string {
	switch cpu {
	case macho.CpuAmd64:
		return "amd64"
	case macho.CpuArm64:
		return "arm64"
	}
	return cpu.String()
}

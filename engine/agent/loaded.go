package agent

import (
	"context"
	"strconv"
	"strings"
)

// Code is what a running VM has loaded of its release, OTP's and Elixir's own modules left out.
type Code struct {
	// Fingerprint is over names and md5s of the loaded modules: machines that run the same code have the same one.
	Fingerprint string
	Modules     int
	// Drifted are the first modules whose file on disk is other code than the loaded one, of DriftedTotal.
	Drifted      []string
	DriftedTotal int
	Hook         Hook
	// HotRef and Version are what the package knows of the upgrade that runs: "" without package or upgrade.
	HotRef, Version string
	// ImageCode is the fingerprint that the image's own code had when the VM booted: "" without the package, or if it is not known.
	ImageCode string
	Trial     Trial // zero: it is on none
	// How the VM did when it was asked: bytes, and processes. Memory is 0 where it did not say.
	Memory              int64
	Processes, RunQueue int
}

// IsImages reports whether the VM is known to run its image's own code. Without the package it is not.
func (c Code) IsImages() bool {
	return c.Hook.State == HookCalled && c.HotRef == "" && c.Version == "" || c.ImageCode != "" && c.ImageCode == c.Fingerprint
}

// Loaded asks a running VM which code it has loaded, by one rpc. ErrGone: another boot of the VM runs by now.
func Loaded(ctx context.Context, exec Exec, vm VM) (Code, error) {
	const doing = "asking the VM for its loaded code"
	lines, err := ask(ctx, exec, vm, doing, "code", codeScripts...)
	if err != nil {
		return Code{}, err
	}
	return parseCode(lines), nil
}

func parseCode(lines []string) Code {
	var c Code
	texts := map[string]*string{"fingerprint": &c.Fingerprint, "hot_ref": &c.HotRef, "version": &c.Version, "image_code": &c.ImageCode}
	numbers := map[string]*int{"modules": &c.Modules, "drifted": &c.DriftedTotal, "processes": &c.Processes, "run_queue": &c.RunQueue}
	for _, line := range lines {
		key, value, _ := strings.Cut(printable(line, 1000), "=")
		if text, ok := texts[key]; ok {
			*text = value
		}
		if number, ok := numbers[key]; ok {
			*number, _ = strconv.Atoi(value)
		}
		if key == "memory" {
			c.Memory, _ = strconv.ParseInt(value, 10, 64)
		}
		if key == "drift" {
			c.Drifted = append(c.Drifted, value)
		}
		c.Hook.read(key, value)
		c.Trial.read(key, value)
	}
	return c
}

// Loaded asks the VM of the session, past the agent.
func (s *Session) Loaded(ctx context.Context) (Code, error) { return Loaded(ctx, s.exec, s.vm) }

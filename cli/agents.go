package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"flydeploy/engine"
)

// keptAgents is how many compiled agents are remembered: one for each flydeploy, OTP and Elixir.
const keptAgents = 20

// agentFile remembers compiled agents in a file, the last one first. A file that is missing or cannot be read is an empty one.
type agentFile string

// rememberedAgents is in the user's cache folder. Without such a folder nothing is remembered.
func rememberedAgents() engine.Agents {
	dir, err := os.UserCacheDir()
	if err != nil {
		return nil
	}
	return agentFile(filepath.Join(dir, "flydeploy", "agents.json"))
}

// Known implements engine.Agents.
func (f agentFile) Known(source, otp, elixir string) (engine.CompiledAgent, bool) {
	all, _ := f.read()
	i := slices.IndexFunc(all, func(a engine.CompiledAgent) bool { return isFor(a, source, otp, elixir) })
	if i < 0 || !all[i].Valid() {
		return engine.CompiledAgent{}, false
	}
	return all[i], true
}

// Remember implements engine.Agents.
func (f agentFile) Remember(a engine.CompiledAgent) error {
	a.URL = "" // each app has its own
	all, _ := f.read()
	all = slices.DeleteFunc(all, func(old engine.CompiledAgent) bool { return isFor(old, a.Source, a.OTP, a.Elixir) })
	all = append([]engine.CompiledAgent{a}, all...)
	if err := f.write(all[:min(len(all), keptAgents)]); err != nil {
		return fmt.Errorf("remember the compiled agent: %w", err)
	}
	return nil
}

func isFor(a engine.CompiledAgent, source, otp, elixir string) bool {
	return a.Source == source && a.OTP == otp && a.Elixir == elixir
}

func (f agentFile) read() (all []engine.CompiledAgent, err error) {
	body, err := os.ReadFile(string(f))
	if err == nil {
		err = json.Unmarshal(body, &all)
	}
	if err != nil {
		return nil, err
	}
	return all, nil
}

// write replaces the file as a whole: several deploys may write it at once.
func (f agentFile) write(all []engine.CompiledAgent) error {
	body, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(string(f)), 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(string(f)), "agents-*.json")
	if err != nil {
		return err
	}
	_, err = file.Write(body)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), string(f))
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

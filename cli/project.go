package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"flydeploy/engine"
)

// project is flydeploy.toml: what fly_deploy has in its Mix configuration, under the same names and in the same units.
// Fields are nil or empty where the file does not set them.
type project struct {
	Bucket           string            `toml:"bucket"`
	OTPApp           string            `toml:"otp_app"`
	Release          string            `toml:"release"`
	ReleaseRoot      string            `toml:"release_root"`
	Container        string            `toml:"container"`
	MaxConcurrency   *int              `toml:"max_concurrency"`
	SuspendTimeout   *int              `toml:"suspend_timeout"`   // milliseconds
	MigrationTimeout *int              `toml:"migration_timeout"` // milliseconds
	MaxSuspend       *int              `toml:"max_suspend"`       // milliseconds
	Timeout          *int              `toml:"timeout"`           // milliseconds
	LockTimeout      *int              `toml:"lock_timeout"`      // seconds
	Bake             *int              `toml:"bake"`              // seconds
	Env              map[string]string `toml:"env"`
	// Of temporary machines, as the options of these names have them.
	TemporaryRegions []string `toml:"temporary_regions"`
	TemporarySize    string   `toml:"temporary_size"`
	TemporaryMemory  int      `toml:"temporary_memory"` // MB
	Source           string   `toml:"source"`           // auto, machine or registry
	PublicKeys       []string `toml:"public_keys"`      // whose signatures are trusted

	Hooks  projectHooks   `toml:"hooks"`
	Notify *projectNotify `toml:"notify"`
}

// loadProject reads a flydeploy.toml; a missing one is empty. An unknown key is an error: whoever wrote it believes that it
// is set.
func loadProject(path string) (project, error) {
	var p project
	body, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, engine.NewProblem("broken_config", "read flydeploy.toml", err, "Make the file readable.")
	}
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")) // some editors begin a file with this mark
	decoder := toml.NewDecoder(bytes.NewReader(body)).DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		return p, brokenProject(path, err)
	}
	if err := p.Hooks.check(path); err != nil {
		return p, err
	}
	for key, value := range map[string]*int{
		"max_concurrency": p.MaxConcurrency, "suspend_timeout": p.SuspendTimeout,
		"migration_timeout": p.MigrationTimeout, "max_suspend": p.MaxSuspend, "timeout": p.Timeout, "lock_timeout": p.LockTimeout, "bake": p.Bake,
	} {
		if value != nil && *value < least(key) {
			return p, engine.NewProblem("broken_config", fmt.Sprintf("%s:%d: %s is less than %d", path, lineOfKey(body, key), key, least(key)), nil,
				"Correct the file.")
		}
	}
	return p, nil
}

// least is the least value of a number.
func least(key string) int {
	if key == "bake" {
		return 0
	}
	return 1
}

// lineOfKey finds the line of a key above the file's tables.
func lineOfKey(body []byte, key string) int {
	at := regexp.MustCompile(`(?m)^\s*` + key + `\s*=`).FindIndex(body)
	if at == nil {
		return 1
	}
	return 1 + bytes.Count(bytes.TrimRight(body[:at[1]], " \t="), []byte("\n"))
}

func brokenProject(path string, err error) error {
	var wrong *toml.DecodeError
	var unknown *toml.StrictMissingError
	switch {
	case errors.As(err, &unknown):
		first := unknown.Errors[0]
		line, _ := first.Position()
		return engine.NewProblem("broken_config", fmt.Sprintf("%s:%d: there is no setting %s", path, line, dotted(first.Key())), nil,
			"Correct its name, or remove it. The settings are bucket, otp_app, release, release_root, container, max_concurrency, suspend_timeout, migration_timeout, max_suspend, timeout, lock_timeout, bake, temporary_regions, temporary_size, temporary_memory, source, public_keys, [env], [hooks] ("+momentNames()+", and [hooks.timeouts]) and [notify] (url, headers).")
	case errors.As(err, &wrong):
		line, _ := wrong.Position()
		where := fmt.Sprintf("%s:%d", path, line)
		if key := dotted(wrong.Key()); key != "" {
			where += ": " + key
		}
		return engine.NewProblem("broken_config", where, errors.New(tomlWords(wrong)), "Correct the file.")
	}
	return engine.NewProblem("broken_config", path, err, "Correct the file.")
}

var wrongType = regexp.MustCompile(`cannot decode TOML (\w+) into .* of type (\w+)`)

// tomlWords is what is wrong in a file of TOML, without the names of our own types.
func tomlWords(err *toml.DecodeError) string {
	words := strings.TrimPrefix(err.Error(), "toml: ")
	if of := wrongType.FindStringSubmatch(words); of != nil {
		return fmt.Sprintf("must be of type %s, not %s", of[2], of[1])
	}
	return words
}

func dotted(key toml.Key) string { return strings.Join(key, ".") }

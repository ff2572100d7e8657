package fly

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"flydeploy/engine"
)

// Config is the part of fly.toml that a deploy needs. flyctl reads the rest itself.
type Config struct {
	App string
	Env map[string]string // [env]: passed to the temporary machine; may name the storage
}

// ConfigNames are the names of an app's configuration, in the order in which flyctl looks for them.
var ConfigNames = []string{"fly.toml", "fly.json", "fly.yaml", "fly.yml"}

// FindConfig returns the path of the configuration in a folder: the first of ConfigNames that exists, or else fly.toml.
func FindConfig(folder string) string {
	for _, name := range ConfigNames {
		path := filepath.Join(folder, name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return filepath.Join(folder, ConfigNames[0])
}

// LoadConfig reads an app's configuration as JSON or YAML if the file's extension says so, or else as TOML. If there is no such
// file, the error is fs.ErrNotExist.
func LoadConfig(path string) (Config, error) {
	body, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, engine.NewProblem("no_config", "read the app's configuration", err,
			"Run flydeploy in the folder that contains fly.toml, or give --config or --app. `fly launch` creates a fly.toml.")
	}
	if err != nil {
		return Config{}, engine.NewProblem("no_config", "read the app's configuration", err, "Check the file's permissions.")
	}
	parse := parseTOML
	switch strings.ToLower(filepath.Ext(path)) {
	case ".json":
		parse = parseJSON
	case ".yaml", ".yml":
		parse = parseYAML
	}
	config, err := parse(body)
	if err != nil {
		return Config{}, brokenConfig(path, err)
	}
	return config, nil
}

// lineError is an error in a line of a file. Lines count from 1.
type lineError struct {
	line int
	text string
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.text) }

func brokenConfig(path string, err error) error {
	where := path
	var at *lineError
	if errors.As(err, &at) {
		where, err = fmt.Sprintf("%s:%d", path, at.line), errors.New(at.text)
	}
	return engine.NewProblem("broken_config", where, err, "Correct the file. `fly config validate` checks it.")
}

package fly

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"flydeploy/engine"
)

// Config is the part of fly.toml that a deploy needs. flyctl reads the rest itself.
type Config struct {
	App   string
	Image string            // [build] image: an image that is deployed as it is, "" for none
	Env   map[string]string // [env]: passed to the temporary machine; may name the storage
	// ReleaseCommand is [deploy] release_command, "" for none.
	ReleaseCommand string
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
		return Config{}, engine.NewProblem("no_config", "read the app's configuration", err, remedyNoConfig(path))
	}
	if err != nil {
		return Config{}, engine.NewProblem("no_config", "read the app's configuration", err, "Check the file's permissions.")
	}
	if body, err = plainText(body); err != nil {
		return Config{}, brokenConfig(path, err)
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

// remedyNoConfig names the configurations in the folder that have the name of an environment.
func remedyNoConfig(path string) string {
	var others []string
	for _, ending := range []string{"toml", "json", "yaml", "yml"} {
		for _, between := range ".-_" {
			found, _ := filepath.Glob(filepath.Join(globQuoted(filepath.Dir(path)), "fly"+string(between)+"*."+ending)) // fails for no pattern
			for _, name := range found {
				others = append(others, "--config "+name)
			}
		}
	}
	if len(others) == 0 {
		return "Run flydeploy in the folder that contains fly.toml, or give --config or --app. `fly launch` creates a fly.toml."
	}
	slices.Sort(others)
	return "Name the configuration of the app: " + strings.Join(others, ", or ") + "."
}

// globQuoted gives a folder as a pattern that matches it alone.
func globQuoted(folder string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(folder)
}

// plainText takes off the mark with which some editors begin a file in UTF-8.
func plainText(body []byte) ([]byte, error) {
	if bytes.HasPrefix(body, []byte("\xff\xfe")) || bytes.HasPrefix(body, []byte("\xfe\xff")) {
		return nil, errors.New("the file is in UTF-16: save it as UTF-8")
	}
	return bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")), nil
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

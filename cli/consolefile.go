package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
	"github.com/spf13/cobra"

	"flydeploy/tui"
	"flydeploy/tui/cells"
)

// consoleFile is console.toml: how somebody wants the console, whatever the app. Fields are nil or empty where the file does not set
// them, and where what it says cannot be.
type consoleFile struct {
	Skin       string         `toml:"skin"`
	Theme      string         `toml:"theme"`
	ASCII      *bool          `toml:"ascii"`
	Accessible *bool          `toml:"accessible"`
	Mouse      *bool          `toml:"mouse"`
	Bell       *bool          `toml:"bell"`
	Keys       map[string]any `toml:"keys"` // by action: a key, or a list of keys
	Fleet      struct {
		Columns tui.Columns `toml:"columns"`
	} `toml:"fleet"`

	keys  tui.Keys
	path  string   // "" where nobody has looked
	there bool     // the file exists
	wrong []string // what cannot be, with file and line

	wrongAt []int // their lines, in their order
}

const consoleSettings = "skin, theme, ascii, accessible, mouse, bell, [keys] and [fleet] columns"

// consolePath is where the file is, "" where there is no home: $XDG_CONFIG_HOME/flydeploy, which is ~/.config/flydeploy unless it is
// set, on every system. So dotfiles are the same everywhere; macOS's own folder, ~/Library/Application Support, is not looked into.
func consolePath(getenv func(string) string) string {
	config := getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(config) { // the specification has those ignored
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		config = filepath.Join(home, ".config")
	}
	return filepath.Join(config, "flydeploy", "console.toml")
}

// readConsoleFile never fails: what is wrong is told, and the rest holds.
func readConsoleFile(path string) consoleFile {
	body, err := os.ReadFile(path)
	switch {
	case path == "" || errors.Is(err, fs.ErrNotExist):
		return consoleFile{path: path}
	case err != nil:
		return consoleFile{path: path, there: true, wrong: []string{err.Error()}}
	}
	return parseConsoleFile(path, bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))) // some editors begin a file with this mark
}

func parseConsoleFile(path string, body []byte) consoleFile {
	var f consoleFile
	err := toml.NewDecoder(bytes.NewReader(body)).DisallowUnknownFields().Decode(&f)
	var unknown *toml.StrictMissingError
	if err != nil && !errors.As(err, &unknown) {
		f = consoleFile{wrong: []string{brokenLine(path, err)}} // nobody knows what the rest means
	}
	f.path, f.there = path, true
	if unknown != nil {
		for _, e := range unknown.Errors {
			line, _ := e.Position()
			f.tell(line, "there is no setting %s; the settings are %s", dotted(e.Key()), consoleSettings)
		}
	}
	f.check(linesOfKeys(body))
	return f
}

// brokenLine is an error of TOML with its place.
func brokenLine(path string, err error) string {
	var wrong *toml.DecodeError
	if !errors.As(err, &wrong) {
		return path + ": " + err.Error()
	}
	line, _ := wrong.Position()
	where := fmt.Sprintf("%s:%d: ", path, line)
	if key := dotted(wrong.Key()); key != "" {
		where += key + ": "
	}
	return where + tomlWords(wrong)
}

func (f *consoleFile) tell(line int, format string, args ...any) {
	at, _ := slices.BinarySearch(f.wrongAt, line+1)
	f.wrongAt = slices.Insert(f.wrongAt, at, line)
	f.wrong = slices.Insert(f.wrong, at, fmt.Sprintf("%s:%d: ", f.path, line)+fmt.Sprintf(format, args...))
}

// check takes out what cannot be; of keys none is taken where one cannot be, since they depend on each other.
func (f *consoleFile) check(lines map[string]int) {
	if f.Skin != "" && !cells.Skin(f.Skin).Known() {
		f.tell(lines["skin"], "there is no skin %q; the skins are %s", f.Skin, strings.Join(words(cells.Skins), ", "))
		f.Skin = ""
	}
	if f.Theme != "" && !slices.Contains(themes, f.Theme) {
		f.tell(lines["theme"], "there is no theme %q; the themes are %s", f.Theme, strings.Join(themes, ", "))
		f.Theme = ""
	}
	if why := f.Fleet.Columns.Check(); why != "" {
		f.tell(lines["fleet.columns"], "%s", why)
		f.Fleet.Columns = nil
	}
	before := len(f.wrong)
	f.keys = tui.Keys{}
	for _, action := range slices.Sorted(maps.Keys(f.Keys)) {
		names, is := keysOf(f.Keys[action])
		if f.keys[action] = names; !is {
			f.tell(lines["keys."+action], "%s must be a key, or a list of keys, in quotes", action)
		}
	}
	if len(f.wrong) == before {
		for _, wrong := range f.keys.Check() {
			f.tell(lines["keys."+wrong.Action], "%s", wrong.Why)
		}
	}
	if len(f.wrong) > before {
		f.keys = nil
	}
}

// keysOf reads a key, or a list of keys.
func keysOf(value any) (keys []string, is bool) {
	switch value := value.(type) {
	case string:
		return []string{value}, true
	case []any:
		for _, one := range value {
			name, is := one.(string)
			if !is {
				return nil, false
			}
			keys = append(keys, name)
		}
		return keys, true
	}
	return nil, false
}

// linesOfKeys gives the line of each key of a file of TOML, with its tables before it: keys.deploy. What cannot be read further is left
// out.
func linesOfKeys(body []byte) map[string]int {
	lines := map[string]int{}
	table := ""
	p := unstable.Parser{}
	for p.Reset(body); p.NextExpression(); {
		switch e := p.Expression(); e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = pathOf(e.Key()) + "."
		case unstable.KeyValue:
			first := e.Key()
			first.Next()
			lines[table+pathOf(e.Key())] = p.Shape(first.Node().Raw).Start.Line
		}
	}
	return lines
}

func pathOf(parts unstable.Iterator) string {
	var path []string
	for parts.Next() {
		path = append(path, string(parts.Node().Data))
	}
	return strings.Join(path, ".")
}

// readFile takes from console.toml what the command line leaves open. It is about a terminal, and is not looked at without one.
func (s *screenSettings) readFile(cmd *cobra.Command) {
	if onTerminal() && (s.output == "" || s.output == "auto") {
		s.complete(readConsoleFile(consolePath(os.Getenv)), cmd.Flags().Changed)
	}
}

// complete takes from the file what the command line leaves open, and notes down where everything is from.
func (s *screenSettings) complete(f consoleFile, changed func(option string) bool) {
	s.wrong, s.bindings, s.columns = f.wrong, f.keys, f.Fleet.Columns
	from := func(option string, given bool) string {
		switch {
		case option != "" && changed(option):
			return "command line"
		case given:
			return "console.toml"
		}
		return "default"
	}
	word := func(name string, file string, to *string) {
		where := from(name, file != "")
		if where == "console.toml" {
			*to = file
		}
		s.settings = append(s.settings, tui.Setting{Name: name, Value: *to, From: where})
	}
	truth := func(name, option string, file *bool, to *bool, opposite bool) {
		where := from(option, file != nil)
		if where == "console.toml" {
			*to = *file != opposite
		}
		value := "no"
		if *to != opposite {
			value = "yes"
		}
		s.settings = append(s.settings, tui.Setting{Name: name, Value: value, From: where})
	}
	word("skin", f.Skin, &s.skin)
	word("theme", f.Theme, &s.theme)
	truth("ascii", "ascii", f.ASCII, &s.ascii, false)
	truth("accessible", "accessible", f.Accessible, &s.accessible, false)
	truth("mouse", "no-mouse", f.Mouse, &s.noMouse, true)
	truth("bell", "no-bell", f.Bell, &s.noBell, true)
	s.settings = append(s.settings,
		tui.Setting{Name: "columns", Value: strings.Join(f.Fleet.Columns, ", "), From: from("", len(f.Fleet.Columns) > 0)},
		tui.Setting{Name: "keys", Value: f.keys.String(), From: from("", len(f.keys) > 0)},
		tui.Setting{Name: "file", Value: f.path, From: map[bool]string{true: "read", false: "not there"}[f.there]},
	)
}

// screen gives a console what these settings say of it.
func (s *screenSettings) screen(o tui.Options) tui.Options {
	o.Version, o.ASCII, o.Theme, o.Skin, o.NoBell, o.NoMouse = version, s.ascii, s.theme, cells.Skin(s.skin), s.noBell, s.noMouse
	o.Keys, o.Columns, o.Settings, o.Wrong = s.bindings, s.columns, s.settings, s.wrong
	o.WrongTold = s.told
	return o
}

package agent

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"flydeploy/elixir"
)

// SettingsFiles are the files of a release's folder of its version that have settings.
var SettingsFiles = []string{"sys.config", "runtime.exs", "vm.args", "env.sh"}

// Settings are those of a release as its manifest has them, and what the VM that told them runs on.
type Settings struct {
	Lines             []string // names with digests of their values, sorted; without line breaks
	OTP, ERTS, Elixir string
}

// settingsSource is the module that reads settings, as the agent does, under a name that no agent has.
func settingsSource() (module, source string, err error) {
	hash, err := sourceHash()
	if err != nil {
		return "", "", err
	}
	text, err := elixir.Files.ReadFile("agent/manifest.ex")
	module = "FlyDeploySettings_" + hash
	return module + ".Manifest", encode(namespace.ReplaceAllString(strip(string(text)), module)), err
}

// ReadSettings has a running VM read the files of another release's configuration, texts by their names: what they mean only Elixir can
// say. It applies nothing, and leaves nothing in the VM.
func ReadSettings(ctx context.Context, exec Exec, vm VM, texts map[string]string) (Settings, error) {
	const doing = "having the VM read the new release's settings"
	all, err := settingsRequest(vm, texts)
	if err != nil {
		return Settings{}, fmt.Errorf("%s: %w", doing, err)
	}
	if all.size() <= maxRequest {
		return askSettings(ctx, exec, vm, doing, all)
	}
	var read Settings
	for _, name := range SettingsFiles { // each by itself
		text, there := texts[name]
		if !there {
			continue
		}
		one, err := settingsRequest(vm, map[string]string{name: text})
		if err != nil {
			return Settings{}, fmt.Errorf("%s: %w", doing, err)
		}
		if one.size() > maxRequest {
			return Settings{}, &Refusal{"settings_too_large", fmt.Sprintf("%s: %s is too large for a request to a machine", doing, name)}
		}
		part, err := askSettings(ctx, exec, vm, doing, one)
		if err != nil {
			return Settings{}, err
		}
		part.Lines = append(read.Lines, part.Lines...)
		read = part
	}
	slices.Sort(read.Lines)
	return read, nil
}

func settingsRequest(vm VM, texts map[string]string) (request, error) {
	module, source, err := settingsSource()
	if err != nil {
		return request{}, err
	}
	text, err := program(settingsScripts...)
	form := url.Values{}
	for _, name := range SettingsFiles {
		if t, ok := texts[name]; ok {
			form.Set(name, t)
		}
	}
	bindings := fmt.Sprintf(`module = "%s"; source = "%s"; texts = String.trim(%s)`, module, source, readOrder)
	return request{shell(scriptOrder, vm.enter(bindings, text)...), encode(form.Encode()) + "\n"}, err
}

func askSettings(ctx context.Context, exec Exec, vm VM, doing string, r request) (Settings, error) {
	out, err := send(ctx, exec, probeTimeout, doing, r)
	if err != nil {
		return Settings{}, err
	}
	if err := notEntered(doing, vm, out); err != nil {
		return Settings{}, err
	}
	if word, _ := out.word(); word != "settings" || !out.whole() {
		return Settings{}, fmt.Errorf("%s: %w", doing, errCut)
	}
	var s Settings
	texts := map[string]*string{"otp": &s.OTP, "erts": &s.ERTS, "elixir": &s.Elixir}
	for _, line := range out[1 : len(out)-1] {
		key, value, _ := strings.Cut(line, "=")
		if to, ok := texts[key]; ok {
			*to = printable(value, 80)
		}
		if key == "lines" {
			if s.Lines, err = settingsLines(value); err != nil {
				return Settings{}, fmt.Errorf("%s: the answer is not valid: %w", doing, err)
			}
		}
	}
	return s, nil
}

// maxSettings bounds what settings' names take, in bytes.
const maxSettings = 4 << 20

func settingsLines(text string) ([]string, error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	r, err := zlib.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	all, err := io.ReadAll(io.LimitReader(r, maxSettings))
	if err != nil || len(all) == 0 {
		return nil, err
	}
	lines := strings.Split(strings.TrimSuffix(string(all), "\n"), "\n"+settingMark) // a name may have line breaks itself
	for i, line := range lines[1:] {
		lines[i+1] = settingMark + line
	}
	if !strings.HasPrefix(lines[0], settingMark) {
		return nil, fmt.Errorf("%q is no setting", printable(lines[0], 80))
	}
	return lines, nil
}

// settingMark begins each setting of a manifest.
const settingMark = "setting "

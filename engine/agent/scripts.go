package agent

import (
	"cmp"
	"strings"
	"sync"

	"flydeploy/elixir"
)

// Script names what an exec does in a machine.
type Script string

// The scripts that the console sends.
const (
	ScriptDiscover      Script = "discover"       // ARGS: /proc, root, name
	ScriptStorage       Script = "storage"        // ARGS of every script that enters a VM: /proc, pid, start, root, name
	ScriptStorageConfig Script = "storage_config" // and the program
	ScriptImage         Script = "image"          // ARGS: root, name
	ScriptOrder         Script = "order"          // enters; then bindings, program; stdin is the order
	ScriptFacts         Script = "facts"          // enters; then "", program
	ScriptCode          Script = "code"           // as ScriptFacts
	ScriptTrial         Script = "trial"          // enters; then bindings, program
	ScriptSettings      Script = "settings"       // enters; then bindings, program; stdin is the configuration
	ScriptCall          Script = "call"           // ARGS: DIR, command or "-", seq, patience (seconds)
	ScriptJob           Script = "job"            // ARGS: DIR, job, root, OTP application, configuration, what it runs; stdin is a form
	ScriptPoll          Script = "poll"           // ARGS: DIR, job, progress
	ScriptRun           Script = "run"            // ARGS: DIR, folder, command
	ScriptOutput        Script = "output"         // ARGS: DIR, bytes that were seen
)

// ScriptOf tells which script the words of an exec run, and its ARGS: for those who play a machine. ok is false for
// words that are not the console's.
func ScriptOf(command []string) (script Script, args []string, ok bool) {
	if len(command) < 4 || command[0] != "/bin/sh" || command[1] != "-c" {
		return "", nil, false
	}
	args = command[4:]
	script = scriptNames()[command[2]]
	if (command[2] == scriptRPC || command[2] == scriptOrder) && len(args) == 7 {
		script = cmp.Or(programs()[args[6]], script)
	}
	return script, args, script != ""
}

var scriptNames = sync.OnceValue(func() map[string]Script {
	return map[string]Script{
		scriptVM: ScriptDiscover, scriptStorage: ScriptStorage, scriptStorageConfig: ScriptStorageConfig, scriptImage: ScriptImage,
		scriptOrder: ScriptOrder, scriptWait: ScriptCall, scriptJob: ScriptJob, scriptPoll: ScriptPoll,
		scriptRun: ScriptRun, scriptOutput: ScriptOutput,
	}
})

// programs tells what is evaluated in a VM.
var programs = sync.OnceValue(func() map[string]Script {
	all := map[string]Script{}
	for script, names := range map[Script][]string{ScriptFacts: factsScripts, ScriptCode: codeScripts, ScriptTrial: trialScripts, ScriptSettings: settingsScripts} {
		if text, err := program(names...); err == nil { // they are embedded
			all[text] = script
		}
	}
	return all
})

// What is evaluated as one: the first gives a variable "system" to the others.
var (
	factsScripts = []string{systemScript, "hook.exs", "probe.exs"}
	codeScripts  = []string{systemScript, "hook.exs", "loaded.exs"}
	trialScripts = []string{"trial.exs"}

	settingsScripts = []string{"settings.exs"}
)

// systemScript stands for the names of OTP's and Elixir's applications: VMs without the agent need them as well.
const systemScript = "system"

func systemApplications() (string, error) {
	names, err := elixir.SystemApplications()
	return "system = ~w(" + strings.Join(names, " ") + ")a", err
}

// bootstrap is bootstrap.exs, compressed.
var bootstrap = sync.OnceValues(func() (string, error) {
	text, err := program("bootstrap.exs")
	return `Code.eval_string(:zlib.uncompress(Base.decode64!("` + encode(text) + `")), binding())`, err
})

var (
	programsMu   sync.Mutex
	programTexts = map[string]string{}
)

// program gives scripts of elixir/ as one, stripped once for all machines.
func program(names ...string) (string, error) {
	programsMu.Lock()
	defer programsMu.Unlock()
	key := strings.Join(names, " ")
	if text, ok := programTexts[key]; ok {
		return text, nil
	}
	var parts []string
	for _, name := range names {
		text, err := systemApplications()
		if name != systemScript {
			var file []byte
			file, err = elixir.Files.ReadFile(name)
			text = string(file)
		}
		if err != nil {
			return "", err
		}
		parts = append(parts, strings.TrimSpace(strip(text)))
	}
	programTexts[key] = strings.Join(parts, "\n")
	return programTexts[key], nil
}

package agent

import (
	"context"
	"fmt"
	"strings"
)

// scriptStorageConfig prints the storage settings of `config :fly_deploy`, where the release has that package. $6 is
// empty, $7 the program. Secrets: the answer is never logged.
var scriptStorageConfig = enter(`
found=
for lib in "$RELEASE_ROOT"/lib/fly_deploy-*; do [ -d "$lib" ] && found=1; done
[ -n "$found" ] || { echo "FLYDEPLOY1 begin"; echo "FLYDEPLOY1 end"; exit 0; }
` + scriptCall)

const storageConfigProgram = `
settings =
  for key <- [:aws_access_key_id, :aws_secret_access_key, :aws_session_token, :aws_endpoint_url_s3, :aws_region, :bucket],
      value = Application.get_env(:fly_deploy, key),
      is_binary(value),
      do: [key |> to_string() |> String.upcase(), "=", value, "\n"]
IO.puts(["FLYDEPLOY1 begin\n", settings, "FLYDEPLOY1 end"])
`

// Storage reads the storage settings that the VM uses, under the names of the variables: its environment, and over it
// what `config :fly_deploy` says, as the package has it. A VM without distribution can only be asked for its
// environment. They are secrets: keep them in memory.
func Storage(ctx context.Context, exec Exec, vm VM) (map[string]string, error) {
	settings, err := StorageEnv(ctx, exec, vm)
	if err != nil || vm.Distribution == "none" {
		return settings, err
	}
	const doing = "reading the VM's configuration of its storage"
	out, err := run(ctx, exec, probeTimeout, doing, shell(scriptStorageConfig, vm.enter("", storageConfigProgram)...))
	if err != nil {
		return nil, err
	}
	if err := notEntered(doing, vm, out); err != nil {
		return nil, err
	}
	if word, _ := out.word(); word != "begin" || !out.whole() {
		return nil, fmt.Errorf("%s: %w", doing, errCut)
	}
	for _, line := range out {
		switch key, value, ok := strings.Cut(line, "="); {
		case !ok:
		case key == "BUCKET":
			settings["AWS_BUCKET"] = value // the variable that comes first
		default:
			settings[key] = value
		}
	}
	return settings, nil
}

package machine

import (
	"context"
	"fmt"
	"maps"
	"os"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	fly "github.com/superfly/fly-go"

	"flydeploy/fly/local/isolation"
	"flydeploy/fly/local/run"
)

// boot starts the machine's processes on a fresh disk.
func (m *Machine) boot(ctx context.Context) (isolation.VM, error) {
	files, err := m.image.Unpack()
	if err != nil {
		return nil, err
	}
	config, image := m.Snapshot().Config, m.image.Config()
	folder, err := m.bootFolder()
	if err != nil {
		return nil, err
	}
	console, err := m.openConsole()
	if err != nil {
		return nil, err
	}
	defer console.Close()
	command := entrypoint(config, image)
	if len(command) == 0 {
		return nil, fmt.Errorf("image %s and the machine's configuration name no command", config.Image)
	}
	workDir := image.WorkingDir
	if workDir == "" {
		workDir = "/"
	}
	fmt.Fprintf(console, "%s starting %q\n", time.Now().UTC().Format(time.RFC3339), command)
	return m.fleet.config.Host.Boot(ctx, isolation.Order{
		Machine: m.id, Folder: folder, Image: files, Command: command, WorkDir: workDir,
		Env: m.environment(config, image), Console: console,
	})
}

// bootFolder replaces the folder of the boot before.
func (m *Machine) bootFolder() (string, error) {
	folder := m.fleet.diskPath(m.id)
	if err := run.RemoveTree(folder); err != nil {
		return "", fmt.Errorf("remove the disk of the boot before: %w", err)
	}
	return folder, os.MkdirAll(folder, 0o700)
}

func (m *Machine) openConsole() (*os.File, error) {
	return os.OpenFile(m.fleet.consolePath(m.id), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// log adds a line to the machine's console.
func (m *Machine) log(format string, args ...any) {
	console, err := m.openConsole()
	if err != nil {
		return // nowhere left to say it
	}
	defer console.Close()
	fmt.Fprintf(console, "%s %s\n", timestamp(), fmt.Sprintf(format, args...))
}

// entrypoint is what runs: init.exec, or entrypoint and cmd of the configuration or else of the image.
func entrypoint(config *fly.MachineConfig, image v1.Config) []string {
	if len(config.Init.Exec) > 0 {
		return config.Init.Exec
	}
	entry, cmd := config.Init.Entrypoint, config.Init.Cmd
	if len(entry) == 0 {
		entry = image.Entrypoint
	}
	if len(cmd) == 0 {
		cmd = image.Cmd
	}
	return append(append([]string(nil), entry...), cmd...)
}

// environment is the machine's: the image's, Fly's own variables, the app's secrets, the configuration's, in this order.
func (m *Machine) environment(config *fly.MachineConfig, image v1.Config) map[string]string {
	record, fleet := m.Snapshot(), m.fleet.config
	env := map[string]string{}
	for _, variable := range image.Env {
		name, value, _ := strings.Cut(variable, "=")
		env[name] = value
	}
	env["FLY_APP_NAME"] = fleet.App
	env["FLY_MACHINE_ID"] = record.ID
	env["FLY_REGION"] = record.Region
	env["FLY_ALLOC_ID"] = record.ID
	env["FLY_PRIVATE_IP"] = record.PrivateIP
	env["FLY_PUBLIC_IP"] = publicIP(record.ID)
	env["FLY_IMAGE_REF"] = config.Image
	env["FLY_MACHINE_VERSION"] = record.InstanceID
	env["FLY_PROCESS_GROUP"] = config.ProcessGroup()
	env["PRIMARY_REGION"] = fleet.PrimaryRegion
	if config.Guest != nil {
		env["FLY_VM_MEMORY_MB"] = fmt.Sprint(config.Guest.MemoryMB)
	}
	maps.Copy(env, fleet.Secrets)
	maps.Copy(env, config.Env)
	return env
}

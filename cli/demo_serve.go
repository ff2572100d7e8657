package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"flydeploy/cli/demo"
	"flydeploy/tui"
	"flydeploy/tui/prompt"
)

// served is what other terminals need to join the demo's Fly: what a Fly is known by everywhere, its addresses and a token.
type served struct{ program, api, token, image string }

// runServed lets other terminals join the demo, as a colleague's would: each has a console of its own, and all share one fleet, lock and
// record. The console here opens as often as it is wanted; the Fly ends with this process.
func (f demoFlags) runServed(cmd *cobra.Command, d *demo.Demo, c *connection) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	image, err := d.Build(ctx, f.upgrade, func(string) {})
	if err != nil {
		return err
	}
	fmt.Fprint(out, served{program: ownName(), api: d.APIURL(), token: d.Token(), image: image}.joining())
	for {
		if again, err := asksForConsole(ctx, cmd.InOrStdin(), out); err != nil || !again {
			return err
		}
		if _, _, err := c.console(cmd, f.deploy, tui.Options{Org: "demo", Header: d.Header}); err != nil {
			return err
		}
	}
}

// joining says how another terminal joins.
func (s served) joining() string {
	return fmt.Sprintf(`
In another terminal, paste these lines once:

  export FLY_FLAPS_BASE_URL=%[2]s FLY_API_BASE_URL=%[2]s
  export FLY_ACCESS_TOKEN=%[3]s

Then it is a colleague's console, on the same fleet, lock and record:

  %[1]s -a %[4]s --skip-build --image %[5]s

And, while one of the two deploys, or to keep both from it:

  %[1]s watch -a %[4]s
  %[1]s lock show -a %[4]s
  %[1]s lock acquire -a %[4]s -m "a freeze, to try it" --for 10m
  %[1]s lock release -a %[4]s

`, s.program, s.api, s.token, demo.App, s.image)
}

// asksForConsole waits until somebody wants the console here; false once they want the end, or nobody can say so.
func asksForConsole(ctx context.Context, in io.Reader, out io.Writer) (bool, error) {
	if _, err := fmt.Fprint(out, "Enter opens the console here, q ends the demo: "); err != nil {
		return false, err
	}
	lines, stop := prompt.Lines(in)
	defer stop()
	select {
	case typed, more := <-lines:
		return more && typed != "q", nil
	case <-ctx.Done():
		fmt.Fprintln(out)
		return false, nil
	}
}

// ownName is what this program is called by: its name where the shell finds it, else its path.
func ownName() string {
	own, err := os.Executable()
	if err != nil {
		return "flydeploy"
	}
	if found, err := exec.LookPath("flydeploy"); err == nil {
		a, errA := os.Stat(found)
		b, errB := os.Stat(own)
		if errA == nil && errB == nil && os.SameFile(a, b) {
			return "flydeploy"
		}
	}
	if strings.ContainsAny(own, " '\"$\\") {
		return "'" + strings.ReplaceAll(own, "'", `'\''`) + "'"
	}
	return own
}

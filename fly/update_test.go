package fly_test

import (
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/fly"
	"flydeploy/fly/local"
)

// launchOne starts the only machine of a local Fly; look gives it as the list has it.
func launchOne(t *testing.T, f *local.Fly, c *fly.Client, image string) (id string, look func() engine.Machine) {
	t.Helper()
	id, err := f.Launch(t.Context(), local.MachineSpec{Image: image, NoService: true})
	if err != nil {
		t.Fatal(err)
	}
	return id, func() engine.Machine {
		t.Helper()
		machines, err := c.Machines(t.Context())
		if err != nil || len(machines) != 1 {
			t.Fatalf("%+v, %v", machines, err)
		}
		return machines[0]
	}
}

// A `fly deploy` under the same tag: each machine keeps its id, and is another instance of another image.
func TestUpdateInPlaceOnTheLocalFly(t *testing.T) {
	t.Parallel()
	onLocalFly(t, func(t *testing.T, f *local.Fly, c *fly.Client) {
		image := pushRelease(t, f, "main")
		id, look := launchOne(t, f, c, image)
		before := look()
		if out, err := c.Exec(t.Context(), id, []string{"/bin/sh", "-c", "echo old >/tmp/left"}, "", 5*time.Second); err != nil || out.ExitCode != 0 {
			t.Fatalf("%+v, %v", out, err)
		}
		if again := pushOther(t, f, "main"); again != image {
			t.Fatalf("pushed %s, then %s", image, again)
		}
		if err := f.Update(t.Context(), id, image); err != nil {
			t.Fatal(err)
		}
		after := look()
		if after.ID != before.ID || after.Image != before.Image || after.State != "started" || after.InstanceID == before.InstanceID || after.Digest == before.Digest {
			t.Errorf("it was %+v, and is %+v", before, after)
		}
		if engine.SameImage(before.FullImage(), after.FullImage()) {
			t.Errorf("%s and %s count as one image", before.FullImage(), after.FullImage())
		}
		out, err := c.Exec(t.Context(), id, []string{"/bin/sh", "-c", "echo $FLY_MACHINE_VERSION; cat /tmp/left"}, "", 5*time.Second)
		if err != nil || !strings.HasPrefix(out.Stdout, after.InstanceID+"\n") {
			t.Errorf("it runs as %+v, %v", out, err)
		}
		if f.Isolation() == local.Namespaces && out.ExitCode == 0 {
			t.Errorf("its disk is the old one: %+v", out)
		}
	})
}

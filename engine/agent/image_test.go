package agent

import (
	"maps"
	"testing"

	"flydeploy/engine"
)

func TestStorageOfAMachineThatRunsNoVM(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.env = append(m.env, "AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=a b'c\"$d\\e", "BUCKET_NAME=b=c", "SECRET_KEY_BASE=other")
	want := map[string]string{"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "a b'c\"$d\\e", "BUCKET_NAME": "b=c"}
	for _, of := range []engine.Release{{Root: releases[1]}, {Root: releases[1], Name: "ledger"}} {
		vm, got, err := ImageStorage(t.Context(), m.exec, of)
		if err != nil || !maps.Equal(got, want) || vm.Name != "ledger" || vm.OTPApp != "ledger" || vm.Version != "1.1.0" || vm.Root != releases[1] {
			t.Errorf("%+v: %+v, %v, %v", of, vm, got, err)
		}
	}
	for _, of := range []engine.Release{{Root: t.TempDir()}, {Root: releases[1], Name: "other"}} {
		if _, _, err := ImageStorage(t.Context(), m.exec, of); engine.AsProblem(err).Name != "image_without_release" {
			t.Errorf("%+v: %v", of, err)
		}
	}
}

package agent

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
)

// A release without the package has its settings in the environment alone; with it, config :fly_deploy is heard as the
// package hears it: over the environment.
func TestStorageOfTheVMIsWhatThePackageWouldUse(t *testing.T) {
	t.Parallel()
	n := borrowNode(t)
	n.eval(`Application.put_all_env(fly_deploy: [aws_access_key_id: "tid_config", aws_region: "iad", bucket: "mine", aws_endpoint_url_s3: nil])
		IO.puts("done")`)
	environment := map[string]string{"AWS_ACCESS_KEY_ID": "key", "AWS_REGION": "auto", "BUCKET_NAME": "b=c"}

	if got, err := Storage(t.Context(), n.realExec, n.vm); err != nil || !maps.Equal(got, environment) {
		t.Errorf("without the package: %v, %v", got, err)
	}
	dir := filepath.Join(n.root, "lib", "fly_deploy-0.1.0")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = os.Remove(dir)
		n.eval(`for {key, _} <- Application.get_all_env(:fly_deploy), do: Application.delete_env(:fly_deploy, key)`)
	}()
	want := map[string]string{"AWS_ACCESS_KEY_ID": "tid_config", "AWS_REGION": "iad", "BUCKET_NAME": "b=c", "AWS_BUCKET": "mine"}
	if got, err := Storage(t.Context(), n.realExec, n.vm); err != nil || !maps.Equal(got, want) {
		t.Errorf("with the package: %v, %v", got, err)
	}
	off := n.vm
	off.Distribution = "none"
	if got, err := Storage(t.Context(), n.realExec, off); err != nil || !maps.Equal(got, environment) {
		t.Errorf("without distribution: %v, %v", got, err)
	}
}

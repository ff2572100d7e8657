package cli

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"

	"flydeploy/engine"
	"flydeploy/s3"
)

// Whose settings the storage is opened with: --storage.
const (
	storageOfMachine = "machine"
	storageOfEnv     = "env"
)

// storageConfig says where the bucket is and how to get in. machine holds the settings that a running machine uses,
// under the names of the variables. Precedence of the bucket's name: command line, flydeploy.toml, fly.toml's [env],
// the environment, <fly app>-releases; of the others: fly.toml's [env], the environment, Tigris.
func (a *appSettings) storageConfig(otpApp string, machine map[string]string, getenv func(string) string) s3.Config {
	c := s3.Config{App: otpApp, Profile: a.awsProfile, CABundle: getenv("AWS_CA_BUNDLE")}
	theirs := func(name string) string { return machine[name] }
	environment := theirs
	if a.storage == storageOfEnv {
		environment = getenv
	}
	of := func(name string) string { return cmp.Or(a.flyEnv[name], environment(name)) }
	c.Bucket = cmp.Or(a.bucket, of("AWS_BUCKET"), of("BUCKET_NAME"), a.name+"-releases")
	if c.Profile != "" { // it has an endpoint and a region of its own
		c.Endpoint, c.Region = a.flyEnv["AWS_ENDPOINT_URL_S3"], a.flyEnv["AWS_REGION"]
		return c
	}
	c.Endpoint, c.Region = of("AWS_ENDPOINT_URL_S3"), of("AWS_REGION")
	c.AccessKeyID, c.SecretAccessKey = environment("AWS_ACCESS_KEY_ID"), environment("AWS_SECRET_ACCESS_KEY")
	c.SessionToken, c.Role = environment("AWS_SESSION_TOKEN"), environment("AWS_ROLE_ARN")
	return c
}

// storageSource says whose settings the storage is opened with, "" for the machine's.
func (a *appSettings) storageSource() string {
	switch {
	case a.awsProfile != "":
		return "the AWS profile " + a.awsProfile
	case a.storage == storageOfEnv:
		return "this console's environment"
	}
	return ""
}

// openStorage opens the bucket, and compares where it is with what the machine uses.
func (a *appSettings) openStorage(ctx context.Context, otpApp string, machine map[string]string) (engine.Storage, error) {
	config := a.storageConfig(otpApp, machine, os.Getenv)
	config.Host, _ = os.Hostname()
	bucket, err := s3.Open(ctx, config)
	if err != nil {
		return engine.Storage{}, err
	}
	at, err := bucket.Location(ctx)
	if err != nil {
		return engine.Storage{}, err
	}
	return engine.Storage{
		Locks: bucket, Records: bucket, Tarballs: bucket, Trials: bucket, Now: bucket.Now,
		Place: fmt.Sprintf("bucket %s at %s", at.Bucket, at.Endpoint), Source: a.storageSource(),
		Differs: storageDiffers(at, machineLocation(a.name, machine)),
	}, nil
}

// machineLocation is where a machine's own startup hook looks.
func machineLocation(app string, machine map[string]string) s3.Location {
	return s3.Location{
		Endpoint:    strings.TrimRight(cmp.Or(machine["AWS_ENDPOINT_URL_S3"], s3.DefaultEndpoint), "/"),
		Region:      cmp.Or(machine["AWS_REGION"], s3.DefaultRegion),
		Bucket:      cmp.Or(machine["AWS_BUCKET"], machine["BUCKET_NAME"], app+"-releases"),
		AccessKeyID: machine["AWS_ACCESS_KEY_ID"],
	}
}

// storageDiffers tells what is not as on the machines. Keys are compared and not shown.
func storageDiffers(here, there s3.Location) []string {
	var differs []string
	for _, setting := range []struct{ name, here, there string }{
		{"bucket", here.Bucket, there.Bucket}, {"endpoint", strings.TrimRight(here.Endpoint, "/"), there.Endpoint},
		{"region", here.Region, there.Region},
	} {
		if setting.here != setting.there {
			differs = append(differs, fmt.Sprintf("%s %s instead of the machines' %s", setting.name, setting.here, setting.there))
		}
	}
	switch {
	case there.AccessKeyID == "":
		differs = append(differs, "keys, and the machines have none")
	case here.AccessKeyID != there.AccessKeyID:
		differs = append(differs, "another access key than the machines'")
	}
	return differs
}

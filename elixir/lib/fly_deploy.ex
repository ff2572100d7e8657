defmodule FlyDeploy do
  @moduledoc """
  The part of flydeploy that lives in your application.

  flydeploy upgrades the code of running machines on [Fly.io](https://fly.io). A machine that restarts starts from its
  image, though, and that has the code from before the upgrade. With one line in `c:Application.start/2` it catches up
  before your supervision tree starts:

      defmodule MyApp.Application do
        use Application

        @impl true
        def start(_type, _args) do
          FlyDeploy.startup_reapply_current(:my_app)

          children = [
            # your supervision tree
          ]

          Supervisor.start_link(children, strategy: :one_for_one)
        end
      end

  Nothing of it ever keeps your application from starting: see `startup_reapply_current/2`.

  ## Where to call it

  First thing in `start/2` of the application that starts first: in an umbrella that is one which the others depend on,
  with the name of the OTP application that flydeploy upgrades. Processes that run already when new code is loaded, those
  of dependencies among them, go on with the state that they have, without `code_change`.

  `start/2` itself runs to its end in the image's code, and so does what it calls in its own module without the module's
  name. A restarted machine therefore has the supervision tree of its image, as one has that was upgraded while it ran. Where
  children were applied (`flydeploy hot --apply-children`), the tree is brought to what `children/0` or `children/1` of the
  application's module gives, as soon as the application has started: children whose arguments differ are started again. If `start/2`
  calls that function with its module's name, it starts the new children at once. Applications that have been started before get
  the new children of theirs before `start/2` goes on.

  ### Or as a child

  Where fly_deploy has its poller, `{FlyDeploy, otp_app: :my_app}` at the top of the children does the same:

      children = [
        {FlyDeploy, otp_app: :my_app},
        # the rest of your supervision tree
      ]

  The call in `start/2` is the better one. A supervisor asks all of its children for their specifications before it starts the
  first: as a child, this comes after `child_spec/1` of the others and after everything else that `start/2` has done, all of it
  in the image's code. If both are there, the child does nothing.

  ## Machines that sleep

  A machine that wakes from suspension does not start again: it goes on in the code with which it fell asleep. This package
  notices that within seconds, and upgrades the machine to what is recorded for it: with the same window as a deploy, and
  without anybody's consent, so that what a plan would ask about is not applied. In `config/config.exs`:

      config :fly_deploy, catch_up: :after_suspension

  That is the default. With `:always` a machine also looks about every ten minutes whether it has missed a deploy while it ran;
  with `:never` it does neither. It looks for the application that `startup_reapply_current/2` was called with.

  ## Configuration

  On Fly, `fly storage create` has set all that is needed. The environment variables:

    * `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` – keys of the bucket
    * `AWS_ENDPOINT_URL_S3` – where it is, by default `https://fly.storage.tigris.dev`
    * `AWS_REGION` – its region, by default `auto`
    * `AWS_SESSION_TOKEN` – of keys that expire
    * `AWS_CA_BUNDLE` – a file of certificates to trust, where the storage's are not the operating system's
    * `AWS_BUCKET`, else `BUCKET_NAME` – its name, by default `<FLY_APP_NAME>-releases`
    * `FLY_IMAGE_REF`, `FLY_MACHINE_ID`, `FLY_APP_NAME` – set by Fly

  Where `AWS_*` belong to something else in your application, say so in `config/runtime.exs`:

      config :fly_deploy,
        bucket: "my-releases",
        aws_access_key_id: System.fetch_env!("RELEASES_KEY_ID"),
        aws_secret_access_key: System.fetch_env!("RELEASES_SECRET"),
        aws_endpoint_url_s3: "https://fly.storage.tigris.dev",
        aws_region: "auto"

  With `public_key: "flydeploy-public:…"` (what `flydeploy keygen` prints, or a list of such texts) only upgrades are loaded that are
  signed with it, for this app, image and machine, and none that is older than what this machine has run; `state_dir: "/data"`, a folder
  on a volume, remembers that over restarts.

  Each that is given there is used instead of its variable. The console asks a running machine for all of these: they
  need not be told twice.
  """

  alias FlyDeploy.{Child, Events, Reapply, UpgradeInfo, Version}

  require Logger

  @typedoc "See `current_vsn/0`."
  @type vsn :: %{
          base_image_ref: String.t() | nil,
          hot_ref: String.t() | nil,
          version: String.t() | nil,
          fingerprint: String.t()
        }

  @doc """
  Brings a machine that has just started to the code that its fleet runs. To be called in `c:Application.start/2`, before
  the supervision tree: no process has to be suspended then, and every process starts with the new code.

  It reads `releases/<app>-current.json` from the bucket. If that belongs to the image that this machine runs, the
  upgrade that it names for this machine (`machine_upgrades`), or else for all (`hot_upgrade`), is downloaded, checked
  against the recorded size and sha256, put into place and loaded: modules, consolidated protocols, static files. After a
  cold deploy the image is another one, and nothing happens.

  Always gives `:ok`, and never raises. Whatever goes wrong – storage that is down or slow, wrong bytes, a tarball that
  was built for another OTP, a full disk, an application's name that is no atom – leaves one line in the log, and the machine runs
  its image's own code: all of the upgrade is applied or nothing of it, in memory and on disk. Calling it again changes nothing.

  An upgrade that crashes the boot is not loaded for ever: after two boots in a row that ended within a minute, other than in good
  order, the image's own code runs, and one line at error level says so. Boots are counted in the bucket, in the upgrade's record.

  How it ended is remembered as well: `flydeploy status` tells of each machine whether its VM has called this function,
  and what went wrong.

  Outside of Fly (no `FLY_IMAGE_REF`) and outside of a release it does nothing, so it needs no condition around it.

  ## Options

    * `:timeout` – milliseconds after which downloading and checking are given up, 10,000 by default, or `:infinity`. The
      start of the application is delayed by so much at most, and by the time that copying and loading takes. Evaluating the configuration
      of an upgrade that applies it has 40 seconds of its own: a second VM starts for it, which takes 1.5 seconds on a core of its own
      and 12 on a sixteenth of one. Children of applications that this one needs have 12 seconds to start.
  """
  @spec startup_reapply_current(atom, timeout: timeout) :: :ok
  def startup_reapply_current(app, opts \\ [])

  def startup_reapply_current(app, opts) when is_atom(app) and is_list(opts) do
    Version.start(app)
    Reapply.run(app, Keyword.get(opts, :timeout, 10_000))
  end

  def startup_reapply_current(app, _opts) do
    called =
      if is_atom(app),
        do: "with options that are no keyword list",
        else: "with #{named(app)}, which is no atom"

    Logger.error(
      "FlyDeploy reapplies no hot upgrade: startup_reapply_current was called #{called}. This machine runs its image's own code; " <>
        "call FlyDeploy.startup_reapply_current(:my_app), with the name of your OTP application, and deploy again."
    )
  end

  defp named(app), do: inspect(app, limit: 3, printable_limit: 60)

  @doc """
  The specification of a child that calls `startup_reapply_current/2` when it is started, unless somebody has before, and
  then is none: nothing stays in the supervision tree. It belongs at the top of the children; see "Or as a child" above.

  ## Options

    * `:otp_app` – the application, required
    * `:timeout` – as of `startup_reapply_current/2`

  `:poll_interval` and `:suspend_timeout` of fly_deploy are taken, and have no meaning: nothing polls, and a deploy says how
  long a process may take to be suspended. Raises `ArgumentError` without `:otp_app`, and for its `mode: :blue_green`.

      iex> FlyDeploy.child_spec(otp_app: :my_app).start
      {FlyDeploy, :start_link, [[otp_app: :my_app]]}
  """
  @spec child_spec(keyword) :: Supervisor.child_spec()
  defdelegate child_spec(opts), to: Child, as: :spec

  @doc "Starts what `child_spec/1` specifies: always gives `:ignore`."
  @spec start_link(keyword) :: :ignore
  defdelegate start_link(opts), to: Child, as: :start

  @doc """
  Tells which code this machine runs, or `nil` as long as neither `startup_reapply_current/2` was called nor a hot
  upgrade happened.

    * `:base_image_ref` – the image that the machine booted from
    * `:hot_ref` – the image that the hot upgrade was built from, `nil` without one
    * `:version` – the hot upgrade's version, `nil` without one
    * `:fingerprint` – 12 hexadecimal digits over the md5 of every loaded module of the application

  The keys are those of fly_deploy 0.2. The fingerprint is of the code itself: machines that run the same code have the
  same one, whether it came by a hot upgrade, at a restart, or with another machine's image.

      FlyDeploy.current_vsn()
      #=> %{
      #     base_image_ref: "registry.fly.io/my-app:deployment-01K93Q",
      #     hot_ref: "registry.fly.io/my-app:deployment-01K94R",
      #     version: "1.2.4",
      #     fingerprint: "9c1185a5c5e9"
      #   }

  Outside of a release there is nothing to tell:

      iex> FlyDeploy.current_vsn()
      nil
  """
  @spec current_vsn() :: vsn | nil
  defdelegate current_vsn(), to: Version, as: :current

  @doc """
  What is recorded for this machine in the bucket, beside what it runs. Reads `releases/<app>-current.json`.

    * `:hot_upgrade_applied` – whether an upgrade is recorded for this machine and its image
    * `:locally_applied` – whether this VM runs it; without a recorded one, whether it runs any
    * `:current_image_ref` – the image that the machine booted from, `"unknown"` outside of Fly
    * `:base_image_ref` – the image that the record is for, `nil` if there is none, or it cannot be read

  and if one is recorded: `:version`, `:source_image_ref`, `:deployed_at` (as ISO 8601) of it, and `:local_marker`, which is
  what this VM runs: `%{"version" => …, "source_image_ref" => …}`, or `nil` without an upgrade.

  The keys are those of fly_deploy, which writes the record before machines are upgraded. Here what was verified is recorded: at
  `:hot_upgrade_complete` (see `subscribe/0`) the record is still the one from before, while `:locally_applied` and `current_vsn/0` tell of
  the new code. `flydeploy status` tells the same of all machines, and asks the code itself.

      iex> FlyDeploy.get_current_hot_upgrade_info(:my_app)
      %{
        hot_upgrade_applied: false,
        locally_applied: false,
        current_image_ref: "unknown",
        base_image_ref: nil
      }
  """
  @spec get_current_hot_upgrade_info(atom) :: map
  defdelegate get_current_hot_upgrade_info(app), to: UpgradeInfo, as: :of

  @doc """
  Sends the calling process a message for every hot upgrade of this node from now on, until the process ends:

    * `{:fly_deploy, :hot_upgrade_started, info}` – processes are about to be suspended
    * `{:fly_deploy, :hot_upgrade_complete, info}` – the code is swapped, every process is migrated and runs
    * `{:fly_deploy, :hot_upgrade_failed, info}` – everything runs as before; `info.reason` says why, in one word

  `info` always has `:app`, `:version`, and `:hot_ref` (the image that the upgrade was built from). At the start it also has
  `:tarball_url`. At the end it has `:modules` (how many were swapped), `:processes` (how many were suspended) and
  `:suspended_us` (for how many microseconds); beside them, for those who listened to fly_deploy: `:modules_reloaded`,
  `:processes_upgraded`, `:processes_failed` and `:duration_ms` (since the start).

  Each start is followed by one of the two others, after the processes were resumed; what fails before any process was to be
  suspended has no event. Subscribing twice has no effect.

  Gives `{:ok, pid}` as fly_deploy does, with the process that keeps the subscriptions.

      iex> {:ok, pid} = FlyDeploy.subscribe()
      iex> is_pid(pid)
      true
  """
  @spec subscribe() :: {:ok, pid}
  defdelegate subscribe(), to: Events
end

defmodule FlyDeployOrchestrator.TarballJob do
  @moduledoc "Makes the tarball of the temporary machine's release."

  alias FlyDeployOrchestrator.{Job, Tarball}

  @spec run() :: :ok
  def run do
    Job.run(fn dir ->
      root = System.fetch_env!("FLYDEPLOY_ROOT")
      app = String.to_atom(System.fetch_env!("FLYDEPLOY_OTP_APP"))
      config? = System.get_env("FLYDEPLOY_CONFIG") == "true"

      case Tarball.make(root, app, Path.join(dir, "upgrade.tar.gz"), config?, &Job.progress(dir, &1, &2)) do
        {:ok, about} -> about
        {:error, text} -> %{error: text}
      end
    end)
  end
end

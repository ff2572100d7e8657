defmodule FlyDeploy.Lag do
  @moduledoc false

  # Whether this machine runs what is recorded for it.

  alias FlyDeploy.{Metadata, Version}
  alias FlyDeployAgent.{Beam, Release}

  @typedoc """
  `:behind`: it runs other code than recorded. `:ahead`: it runs a later upgrade than the recorded one, which a deploy could
  not record: it is not taken back.
  """
  @type t :: :none | :behind | :ahead

  @doc """
  Compares the recorded upgrade with what the VM knows of the one that it runs, and then with its code. `fingerprint` costs a
  look at every module, and is called only where it decides.
  """
  @spec of(Metadata.upgrade(), Version.running(), (() -> String.t())) :: t
  def of(recorded, running, fingerprint) do
    cond do
      {recorded.hot_ref, recorded.version} == {running.hot_ref, running.version} -> :none
      later?(running.id, recorded.id) -> :ahead
      recorded.fingerprint != nil and recorded.fingerprint == fingerprint.() -> :none
      true -> :behind
    end
  end

  # They are ULIDs: ordered by the time at which their deploys began.
  defp later?(running, recorded) when is_binary(running) and is_binary(recorded), do: running > recorded
  defp later?(_running, _recorded), do: false

  @doc """
  What `flydeploy` records as the fingerprint of a machine's code, and `flydeploy status` asks for (loaded.exs): over names and
  md5s of all loaded modules of the release, those of OTP and Elixir left out.
  """
  @spec fingerprint() :: String.t()
  def fingerprint do
    lines = for {module, md5} <- Enum.sort(md5s()), md5, do: [Atom.to_string(module), 0, md5]
    lines |> :erlang.md5() |> Base.encode16(case: :lower)
  end

  defp md5s do
    for {app, _, _} <- Application.loaded_applications(),
        Release.origin(app) == :library,
        dir = Release.app_dir(app),
        {module, path} <- modules(app, Path.join(dir, "ebin")),
        into: Map.new(protocols(), fn {module, path} -> {module, md5(module, path)} end),
        do: {module, md5(module, path)}
  end

  # As the file on disk says, where an upgrade has put it: a module that an upgrade has removed stays loaded.
  defp modules(app, ebin) do
    for module <- Release.app_keys(Path.join(ebin, "#{app}.app"))[:modules] || [],
        do: {module, "#{ebin}/#{module}.beam"}
  end

  defp protocols do
    for path <- Release.consolidated() |> Path.join("*.beam") |> Path.wildcard(),
        do: {path |> Path.basename(".beam") |> String.to_atom(), path}
  end

  # In interactive mode a module may simply not be loaded yet.
  defp md5(module, path) do
    with nil <- Beam.loaded_md5(module),
         {:ok, beam} <- File.read(path) do
      Beam.md5(beam)
    else
      md5 when is_binary(md5) -> md5
      _ -> nil
    end
  end
end

defmodule FlyDeploy.Preparation do
  @moduledoc false

  # Finds out what this machine is to run, and gets it ready: downloaded, checked, compared with what is loaded, and
  # prepared for loading.

  alias FlyDeploy.{
    AppliedChildren,
    AppliedConfig,
    BootCount,
    Hook,
    Metadata,
    Settings,
    Signature,
    Storage,
    Survival,
    Version
  }

  alias FlyDeployAgent.{Archive, Diff, Inventory, Release}

  require Logger

  @type prepared :: %{
          upgrade: Metadata.upgrade(),
          files: [FlyDeploy.Placement.file()],
          modules: [module],
          code: term,
          config: FlyDeployAgent.AppConfig.found(),
          children: AppliedChildren.found()
        }

  @doc """
  Works in `dir`, which it makes. `{:none, why}` where there is nothing to do, `{:gave_up, why}` where the last boots with this
  upgrade have not lasted. `tell` gets what is being done, in words, or those with how many milliseconds that may take beyond its time.
  """
  @spec run(atom, Path.t(), (String.t() | {String.t(), non_neg_integer} -> any)) ::
          {:ok, prepared} | {:none | :gave_up, String.t()} | {:error, String.t()}
  def run(app, dir, tell) do
    with {:ok, image_ref} <- on_fly(),
         # Before anything of it is replaced, also where nothing is recorded yet: while the bucket is asked.
         image_code = Task.async(&Version.image_code/0),
         {:ok, settings} <- Settings.load(System.get_env(), Application.get_all_env(:fly_deploy)),
         _ = tell.("reading current.json"),
         found = document(settings, app),
         _ = Task.await(image_code, :infinity),
         {:ok, document} <- found,
         {:ok, upgrade} <- chosen(document, image_ref, app),
         :ok <- Signature.check(upgrade, app),
         :ok <- not_given_up(upgrade),
         counting = BootCount.read(settings, app, upgrade, System.get_env("FLY_MACHINE_ID")),
         {:ok, key} <- Storage.key(upgrade.tarball_url, settings.bucket),
         _ = tell.("downloading the tarball (#{upgrade.size} bytes)"),
         :ok <- make(dir),
         tarball = Path.join(dir, "upgrade.tar.gz"),
         :ok <- Storage.download(settings, key, tarball, upgrade.size, upgrade.sha256),
         {:ok, count} <- chance(settings, upgrade, counting) do
      # The count is written meanwhile.
      keeping = BootCount.keep(settings, count)
      prepared = unpack(app, upgrade, tarball, dir, tell)
      begun(settings, count, BootCount.kept?(keeping), prepared)
      prepared
    end
  end

  # Before anything is loaded, which may be the end of this VM.
  defp begun(_settings, _count, _kept?, {:ok, prepared}), do: Survival.loading(prepared.upgrade.id)
  defp begun(settings, count, true, _refused), do: BootCount.forget(settings, count)
  defp begun(_settings, _count, false, _refused), do: :ok

  # By an earlier call in this VM.
  defp not_given_up(upgrade), do: if(Hook.gave_up?(upgrade.id), do: gave_up(upgrade), else: :ok)

  defp gave_up(upgrade) do
    {:gave_up,
     "hot upgrade #{upgrade.version} was loaded by the last two boots, and each ended within a minute"}
  end

  defp unpack(app, upgrade, tarball, dir, tell) do
    tell.("extracting the tarball")
    inventory = Inventory.new(:code)

    with {:ok, _entries} <-
           Archive.extract(tarball, dir, &Release.takes_part?/1, &(not Inventory.has?(inventory, &1, &2))),
         _ = tell.("comparing it with what is loaded"),
         {:ok, diff} <- compare(dir, app),
         {:ok, code} <- prepare(diff.changes),
         modules = Enum.map(diff.changes, & &1.module),
         _ = tell.("asking for the children of the image's code"),
         children = AppliedChildren.find(upgrade, app, modules),
         _ = tell.({"evaluating its configuration", AppliedConfig.takes_ms(upgrade)}),
         {:ok, config} <- AppliedConfig.find(upgrade, dir, modules) do
      {:ok,
       %{
         upgrade: upgrade,
         files: diff.files,
         modules: modules,
         code: code,
         config: config,
         children: children
       }}
    end
  end

  # Whoever kills this process while the count is written, or its answer comes too late: Survival knows of it.
  defp chance(settings, upgrade, counting) do
    {what, count} = BootCount.decide(counting)
    if count, do: Survival.watch(count)

    case what do
      :load ->
        {:ok, count}

      :image ->
        Hook.give_up(count.id)
        settings |> BootCount.keep(count) |> BootCount.kept?()
        gave_up(upgrade)
    end
  end

  defp on_fly do
    cond do
      Release.root() == nil -> {:none, "this is not a release"}
      System.get_env("FLY_IMAGE_REF", "") == "" -> {:none, "FLY_IMAGE_REF is not set"}
      true -> {:ok, System.fetch_env!("FLY_IMAGE_REF")}
    end
  end

  defp document(settings, app) do
    with :not_found <- Storage.read(settings, "releases/#{app}-current.json") do
      doubt(Signature.none(nil, app))
      {:none, "there has been none"}
    end
  end

  defp chosen(document, image_ref, app) do
    case Metadata.upgrade(document, image_ref, Version.image_code(), System.get_env("FLY_MACHINE_ID")) do
      :none ->
        doubt(Signature.none(document, app))
        {:none, "current.json names none"}

      # As after every `fly deploy`, which signs nothing.
      :other_image ->
        Signature.none(document, app)
        {:none, "current.json belongs to another image"}

      other ->
        other
    end
  end

  defp doubt(:ok), do: :ok

  defp doubt({:error, why}) do
    Logger.warning(
      "FlyDeploy boots this machine's image: current.json names no hot upgrade, and nobody who is trusted vouches for that (#{why}). " <>
        "If none was withdrawn without a key, somebody else has removed it: see `flydeploy history`."
    )
  end

  defp make(dir) do
    with :ok <- File.mkdir(dir),
         :ok <- File.chmod(dir, 0o700) do
      :ok
    else
      {:error, reason} -> {:error, "#{dir} cannot be made: #{:file.format_error(reason)}"}
    end
  end

  # What was to be accepted was accepted when the upgrade was deployed. What can never be swapped is refused here too.
  defp compare(dir, app) do
    diff = Diff.run(dir, app)

    case Enum.find(diff.findings, &(&1.severity == :refuse)) do
      nil -> {:ok, diff}
      finding -> {:error, "#{finding.subject}: #{finding.detail}"}
    end
  end

  defp prepare(changes) do
    beams =
      for change <- changes, do: {change.module, String.to_charlist(change.target), File.read!(change.source)}

    with {:error, [{module, reason} | _]} <- :code.prepare_loading(beams),
         do: {:error, "#{inspect(module)} cannot be loaded: #{reason}"}
  end
end

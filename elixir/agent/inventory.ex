defmodule FlyDeployAgent.Inventory do
  @moduledoc """
  What of a tarball this machine has already. An upgrade changes little of a release: the rest need be neither written nor compared
  file by file.
  """

  alias FlyDeployAgent.{Beam, Release}

  @typedoc """
  What the tarball is wanted for: to plan with it (`:release`), or only to run its code (`:code`). And the folders of applications, asked
  for once: the code server is not asked again for each of thousands of files.
  """
  @type t :: %{for: :release | :code, dirs: %{atom => binary}}

  @spec new(:release | :code) :: t
  def new(what) do
    dirs =
      for path <- Enum.reverse(:code.get_path()),
          path = List.to_string(path),
          Path.basename(path) == "ebin",
          dir = Path.dirname(path),
          {app, _vsn} = Release.split(dir),
          into: %{},
          do: {app, dir}

    %{for: what, dirs: dirs}
  end

  @doc """
  Whether a file of the tarball lies in the release byte by byte, and runs, where it is a module. The protocols that libraries
  consolidate never count as had: the comparison wants all of them. An application of OTP or Elixir is described by its version.

  To plan, the comparison wants the descriptions of all libraries, too. To run the code, a module that runs needs no look at its file,
  whose documentation may differ: hundreds of looks are most of what an upgrade costs a boot.
  """
  @spec has?(t, String.t(), binary) :: boolean
  def has?(inventory, name, content) do
    case String.split(name, "/", parts: 4) do
      ["lib", folder, "ebin", file] ->
        has_in_ebin?(inventory, Path.extname(file), folder, file, content)

      ["lib", folder | path] ->
        lies?(inventory, folder, Enum.join(path, "/"), content)

      ["releases", _vsn, "consolidated", file] ->
        elixirs?(module(file), content) and consolidated?(file, content)

      _ ->
        false
    end
  end

  defp has_in_ebin?(inventory, ".app", folder, file, content) do
    {app, vsn} = Release.split(folder)
    dir = inventory.dirs[app]

    cond do
      dir == nil -> false
      Release.origin(app) != :library -> Release.split(dir) == {app, vsn}
      true -> inventory.for == :code and lies?(inventory, folder, "ebin/" <> file, content)
    end
  end

  defp has_in_ebin?(inventory, ".beam", folder, file, content) do
    case {runs?(module(file), content), inventory.for} do
      {true, :code} -> true
      {false, _} -> false
      _ -> lies?(inventory, folder, "ebin/" <> file, content)
    end
  end

  defp has_in_ebin?(inventory, _extension, folder, file, content),
    do: lies?(inventory, folder, "ebin/" <> file, content)

  defp module(file), do: file |> Path.rootname() |> String.to_atom()

  # Few upgrades implement one of Elixir's own protocols anew.
  defp elixirs?(module, content) do
    with {:ok, app} <- :application.get_application(module),
         do: Release.origin(app) == :elixir and runs?(module, content) != false,
         else: (:undefined -> false)
  end

  defp consolidated?(file, content),
    do: Release.root() != nil and Release.consolidated() |> Path.join(file) |> File.read() == {:ok, content}

  # In interactive mode a module is loaded when it is called first.
  defp runs?(module, content) do
    case Beam.loaded_md5(module) do
      nil -> if :code.get_mode() == :interactive, do: :once_called, else: false
      md5 -> md5 == Beam.md5(content)
    end
  end

  defp lies?(inventory, folder, path, content) do
    case inventory.dirs[folder |> Release.split() |> elem(0)] do
      nil -> false
      dir -> File.read(dir <> "/" <> path) == {:ok, content}
    end
  end
end
